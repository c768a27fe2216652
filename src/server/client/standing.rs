//! Who a client is by now, and how what it asks is run or refused.

use super::{Client, REFUSED, Verified};
use crate::audit::{Actor, Context, Event, What};
use crate::model::{Certified, SessionKind, clean};
use crate::server::front::Door;
use crate::server::login::Admitted;
use crate::tunnels::Session;
use russh::ChannelId;
use russh::server::{Auth, Session as Ssh};
use std::sync::Arc;

impl Client {
    pub(in crate::server) fn actor(&self) -> Actor {
        match &self.session {
            Some(s) if s.kind == SessionKind::Operator => Actor::Operator(s.name.clone()),
            Some(s) => Actor::Host(s.name.clone()),
            None => Actor::Unknown,
        }
    }

    pub(in crate::server) fn context(&self) -> Context {
        self.session.as_ref().map_or_else(
            || Context { source: Some(self.peer), session: Some(self.id), ..Context::default() },
            |s| s.context(),
        )
    }

    pub(in crate::server) fn refuse(&self, request: &'static str, rule: &str) {
        let what = What::RequestRefused { request: request.to_owned() };
        let event = Event::refused(self.actor(), what, rule, self.context());
        self.shared.registry.record_request(self.id, request, event);
    }

    /// What came of a proof.
    pub(super) fn verdict(&mut self, user: &str, judged: Result<Admitted, Box<(String, Context)>>) -> Auth {
        match judged {
            Ok(admitted) => {
                self.verified = Some(Verified { admitted, user: clean(user, 60) });
                Auth::Accept
            }
            Err(no) => {
                let (rule, context) = *no;
                self.ident.judged();
                self.auth_failed("publickey", user, &rule, context);
                Auth::reject()
            }
        }
    }

    /// The certificate behind this session, if one is.
    pub(super) fn certified(&self) -> Option<&Certified> {
        self.session.as_ref().and_then(|s| s.credential.certified.as_ref())
    }

    /// Whether the certificate behind this session, if one is, allows forwarding.
    pub(super) fn may_forward(&self) -> Result<(), String> {
        match self.certified() {
            Some(c) if !c.forwarding => Err(format!("the {} has no permit-port-forwarding", c.mark)),
            _ => Ok(()),
        }
    }

    pub(super) fn operator(&self) -> Option<&Arc<Session>> {
        self.session.as_ref().filter(|s| s.kind == SessionKind::Operator && s.vital.cause().is_none())
    }

    pub(super) fn run(
        &mut self,
        id: ChannelId,
        operator: Arc<Session>,
        line: String,
        ssh: &mut Ssh,
    ) -> Result<(), russh::Error> {
        match self.doors.get_mut(&id).and_then(Door::open) {
            Some(channel) => {
                ssh.channel_success(id)?;
                self.shared.front.exec(operator, line, channel);
                Ok(())
            }
            None => ssh.channel_failure(id),
        }
    }

    /// Refuses a shell or the like in a way that the client sees: a line on its standard error and an exit status, as Git
    /// hosts do. OpenSSH takes a plain "no" for the end of everything and throws away the line that came before it.
    pub(super) fn refuse_on(
        &mut self,
        id: ChannelId,
        request: &'static str,
        rule: &str,
        ssh: &mut Ssh,
    ) -> Result<(), russh::Error> {
        self.refuse(request, rule);
        self.doors.remove(&id);
        ssh.channel_success(id)?;
        ssh.extended_data(id, 1, format!("portreeve: {rule}\r\n").into_bytes())?;
        ssh.exit_status_request(id, REFUSED)?;
        ssh.eof(id)?;
        ssh.close(id)
    }
}
