//! How long the path to a client is.

use std::os::fd::AsRawFd;
use std::time::Duration;
use tokio::net::TcpStream;

/// The round trip that the kernel measured while the connection was made: the path's own, before anything could queue.
/// None where it cannot be had.
#[cfg(target_os = "linux")]
pub(super) fn round_trip(socket: &TcpStream) -> Option<Duration> {
    // SAFETY: `tcp_info` is plain numbers, for which zero is a value. getsockopt(2) writes at most `size` bytes into it
    // and says how many; the descriptor is open as long as `socket` is borrowed. There is no safe binding in the crates
    // that are here.
    #[allow(unsafe_code)]
    let (result, size, info) = unsafe {
        let mut info: libc::tcp_info = std::mem::zeroed();
        let mut size = libc::socklen_t::try_from(std::mem::size_of::<libc::tcp_info>()).ok()?;
        let result = libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            std::ptr::from_mut(&mut info).cast(),
            &raw mut size,
        );
        (result, size, info)
    };
    let enough = std::mem::offset_of!(libc::tcp_info, tcpi_rtt) + std::mem::size_of::<u32>();
    let told = result == 0 && usize::try_from(size).is_ok_and(|n| n >= enough) && info.tcpi_rtt > 0;
    told.then(|| Duration::from_micros(info.tcpi_rtt.into()))
}

/// Other systems tell it in other ways.
#[cfg(not(target_os = "linux"))]
pub(super) fn round_trip(_: &TcpStream) -> Option<Duration> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_path_over_loopback_is_short() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (socket, _) = listener.accept().await.unwrap();
        let took = round_trip(&socket).unwrap();
        assert!(took > Duration::ZERO && took < Duration::from_secs(1), "{took:?}");
    }
}
