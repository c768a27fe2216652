//! Names and help of the actions. The command line has them in English, from [`crate::control::actions`].

use super::{Lang, tr};
use crate::control::actions::ActionSpec;

/// What it does, one line.
pub(crate) fn help(lang: Lang, spec: &ActionSpec) -> &'static str {
    match spec.verb {
        "reconnect" => tr!(lang, action.help_reconnect),
        "revoke" => tr!(lang, action.help_revoke),
        "restore" => tr!(lang, action.help_restore),
        "assign" => tr!(lang, action.help_assign),
        "move" => tr!(lang, action.help_move),
        "release" => tr!(lang, action.help_release),
        "reserve" => tr!(lang, action.help_reserve),
        "grant" => tr!(lang, action.help_grant),
        "ungrant" => tr!(lang, action.help_ungrant),
        "cut" => tr!(lang, action.help_cut),
        "disconnect" => tr!(lang, action.help_disconnect),
        "logout" => tr!(lang, action.help_logout),
        "confirm" => tr!(lang, action.help_confirm),
        "withdraw" => tr!(lang, action.help_withdraw),
        "mute" => tr!(lang, action.help_mute),
        "unmute" => tr!(lang, action.help_unmute),
        "approve" => tr!(lang, action.help_approve),
        "unapprove" => tr!(lang, action.help_unapprove),
        "dismiss" => tr!(lang, action.help_dismiss),
        "reload" => tr!(lang, action.help_reload),
        _ => spec.help,
    }
}

/// Its name. What is typed is always the verb.
pub(crate) fn name(lang: Lang, spec: &ActionSpec) -> &'static str {
    match spec.verb {
        "reconnect" => tr!(lang, action.reconnect),
        "revoke" => tr!(lang, action.revoke),
        "restore" => tr!(lang, action.restore),
        "assign" => tr!(lang, action.assign),
        "move" => tr!(lang, action.move_),
        "release" => tr!(lang, action.release),
        "reserve" => tr!(lang, action.reserve),
        "grant" => tr!(lang, action.grant),
        "ungrant" => tr!(lang, action.ungrant),
        "cut" => tr!(lang, action.cut),
        "disconnect" => tr!(lang, action.disconnect),
        "logout" => tr!(lang, action.logout),
        "confirm" => tr!(lang, action.confirm),
        "withdraw" => tr!(lang, action.withdraw),
        "mute" => tr!(lang, action.mute),
        "unmute" => tr!(lang, action.unmute),
        "approve" => tr!(lang, action.approve),
        "unapprove" => tr!(lang, action.unapprove),
        "dismiss" => tr!(lang, action.dismiss),
        "reload" => tr!(lang, action.reload),
        _ => spec.verb,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::actions::ACTIONS;

    #[test]
    fn every_action_is_named_in_every_language_and_in_english_as_on_the_command_line() {
        for a in ACTIONS {
            assert_eq!((help(Lang::En, a), name(Lang::En, a)), (a.help, a.verb));
            assert_ne!(help(Lang::Ko, a), a.help, "{}", a.verb);
            assert_ne!(name(Lang::Ko, a), a.verb);
        }
    }
}
