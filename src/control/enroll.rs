//! All that a host needs, as one script: its keys, the bastion's keys, the ssh_config and the unit that keeps it up.

use super::howto::{Format, HowTo};
use crate::config::shell::quote;

/// The account that the unit runs as.
const ACCOUNT: &str = "portreeve-tunnel";
/// Ends a file within the script; no line of these files is so.
const END: &str = "END_OF_FILE";

impl HowTo {
    /// A script for a POSIX shell, to be run as root on the host. It may be run again: a key that is there is kept.
    #[must_use]
    pub fn script(&self) -> String {
        let host = quote(self.host.as_str());
        let file = |format: Format| format!("cat >{} <<'{END}'\n{}{END}\n", format.place(), self.text(format));
        let known = if self.keys.is_empty() { "none yet".to_owned() } else { self.keys.join(" ") };
        [
            format!("#!/bin/sh\n# Brings up the tunnels of {}: run it as root on that host.\nset -eu\n", self.host),
            "dir=/etc/portreeve-tunnel\n".to_owned(),
            format!(
                "id {ACCOUNT} >/dev/null 2>&1 ||\n    useradd --system --home-dir \"$dir\" --shell /usr/sbin/nologin {ACCOUNT}\n"
            ),
            "mkdir -p \"$dir\"\n".to_owned(),
            format!(
                "[ -e \"$dir/id_ed25519\" ] || ssh-keygen -q -t ed25519 -N '' -C {host} -f \"$dir/id_ed25519\"\n\
                 chown {ACCOUNT} \"$dir/id_ed25519\"\n"
            ),
            file(Format::KnownHosts),
            file(Format::Config),
            file(Format::Systemd),
            "# The bastion must know the key, or a certificate must vouch for it.\n".to_owned(),
            "key=$(ssh-keygen -lf \"$dir/id_ed25519\" | cut -d ' ' -f 2)\n".to_owned(),
            format!("if [ ! -e \"$dir/id_ed25519-cert.pub\" ]; then\n    case ' {known} ' in\n"),
            "    *\" $key \"*) ;;\n    *)\n".to_owned(),
            format!(
                "        echo \"put this key into [hosts.{}] on the bastion, run portreeve reload there, and this script again:\" >&2\n",
                self.host
            ),
            "        cat \"$dir/id_ed25519.pub\"\n        exit 1\n        ;;\n    esac\nfi\n".to_owned(),
            format!("systemctl daemon-reload\nsystemctl enable --now {ACCOUNT}\n"),
        ]
        .concat()
    }
}
