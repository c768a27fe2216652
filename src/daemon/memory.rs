//! How the C library's allocator gives memory back.
//!
//! glibc returns the top of its heap to the kernel as soon as 128 KiB of it are free. The SSH library allocates and frees
//! a packet's worth for every packet, so under bulk that happens thousands of times a second, and each time the pages
//! are faulted in again: up to a third of the time of a transfer. jemalloc and mimalloc gained nothing over this.

/// Free memory at the top of a heap that is kept, bytes.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const TRIM_THRESHOLD: libc::c_int = 64 << 20;
/// Asked of the kernel beyond what is needed, bytes.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const TOP_PAD: libc::c_int = 1 << 20;
/// Larger pieces come from the kernel one by one and go back to it at once, bytes.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MMAP_THRESHOLD: libc::c_int = 4 << 20;

/// Makes the allocator keep what a transfer will want again in a moment. To be called before threads are started.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(super) fn keep_what_is_freed() {
    for (parameter, value) in
        [(libc::M_TRIM_THRESHOLD, TRIM_THRESHOLD), (libc::M_TOP_PAD, TOP_PAD), (libc::M_MMAP_THRESHOLD, MMAP_THRESHOLD)]
    {
        // SAFETY: mallopt(3) takes two integers and touches nothing but the allocator's own parameters, under the
        // allocator's lock. There is no safe binding and no other way from inside a process (the environment variable
        // GLIBC_TUNABLES is read before `main`).
        #[allow(unsafe_code)]
        let taken = unsafe { libc::mallopt(parameter, value) };
        if taken == 0 {
            tracing::debug!(parameter, value, "the allocator does not take this parameter");
        }
    }
}

/// Other C libraries have other allocators.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(super) fn keep_what_is_freed() {}
