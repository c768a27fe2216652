//! Why sessions and tunnels end. The journal and the command line have it in English, from [`ObituaryCause::sentence`].

use super::{Lang, tr};
use crate::model::{Obituary, ObituaryCause};

/// The cause alone.
pub(crate) fn cause(lang: Lang, c: ObituaryCause) -> &'static str {
    match c {
        ObituaryCause::ClientDisconnect => tr!(lang, obituary.client_disconnect),
        ObituaryCause::ClientCancel => tr!(lang, obituary.client_cancel),
        ObituaryCause::PeerReset => tr!(lang, obituary.peer_reset),
        ObituaryCause::KeepaliveTimeout => tr!(lang, obituary.keepalive_timeout),
        ObituaryCause::SendTimeout => tr!(lang, obituary.send_timeout),
        ObituaryCause::ProtocolError => tr!(lang, obituary.protocol_error),
        ObituaryCause::Takeover => tr!(lang, obituary.takeover),
        ObituaryCause::Reconnect => tr!(lang, obituary.reconnect),
        ObituaryCause::Revoke => tr!(lang, obituary.revoke),
        ObituaryCause::LeaseEnded => tr!(lang, obituary.lease_ended),
        ObituaryCause::LeaseOver => tr!(lang, obituary.lease_over),
        ObituaryCause::OperatorDisconnect => tr!(lang, obituary.operator_disconnect),
        ObituaryCause::ConfigChange => tr!(lang, obituary.config_change),
        ObituaryCause::RevokedByList => tr!(lang, obituary.revoked_by_list),
        ObituaryCause::CertificateExpired => tr!(lang, obituary.certificate_expired),
        ObituaryCause::Shutdown => tr!(lang, obituary.shutdown),
    }
}

/// The cause with its particulars, which are as they were recorded.
pub(crate) fn said(lang: Lang, o: &Obituary) -> String {
    match o.detail.as_str() {
        "" => cause(lang, o.cause).to_owned(),
        detail => tr!(lang, obituary.with_detail, cause = cause(lang, o.cause), detail),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_english_it_is_as_the_journal_has_it() {
        let all = [
            ObituaryCause::ClientDisconnect,
            ObituaryCause::ClientCancel,
            ObituaryCause::PeerReset,
            ObituaryCause::KeepaliveTimeout,
            ObituaryCause::SendTimeout,
            ObituaryCause::ProtocolError,
            ObituaryCause::Takeover,
            ObituaryCause::Reconnect,
            ObituaryCause::Revoke,
            ObituaryCause::LeaseEnded,
            ObituaryCause::LeaseOver,
            ObituaryCause::OperatorDisconnect,
            ObituaryCause::ConfigChange,
            ObituaryCause::RevokedByList,
            ObituaryCause::CertificateExpired,
            ObituaryCause::Shutdown,
        ];
        for c in all {
            assert_eq!(cause(Lang::En, c), c.sentence());
            let o = Obituary::with(c, "3 x 15 s");
            assert_eq!(said(Lang::En, &o), o.to_string());
        }
    }
}
