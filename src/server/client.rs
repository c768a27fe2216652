//! What one client asks of the server, and what it is told: the SSH library's callbacks.
//!
//! A callback runs inside the session's loop: while it waits, the session stands still. So nothing here waits for a
//! disk, a connect or the session's own handle (DESIGN.md, trap 6), with two exceptions that are the session's own
//! affair: writing a new lease, and probing an older session of the same host for a takeover.

mod standing;

use super::Shared;
use super::front::{Door, Screen};
use super::login::Admitted;
use super::noise::MESSAGE;
use super::stream::Ident;
use crate::audit::{Context, Event, What};
use crate::config::Principal;
use crate::model::{HostName, Obituary, ObituaryCause, Port, SessionId, SessionKind, clean, clean_line, now};
use crate::tunnels::{Mailbox, Said, Session, Vital};
use russh::server::{Auth, ChannelOpenHandle, Handle, Handler, Msg, PublicKeyOffer, Session as Ssh, VerifiedPublicKey};
use russh::{Channel, ChannelId, ChannelOpenFailure, Pty};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// How long a cancelled forward is waited for.
const CANCEL_WAIT: Duration = Duration::from_secs(1);
/// Session channels (consoles, commands) one connection may have at a time.
const SESSION_CHANNELS: usize = 8;
/// Exit status of what is refused: "forbidden", as in the table of `portreeve --help`.
const REFUSED: u32 = 4;

/// Sent to the session's owner once somebody has signed in.
pub(super) struct SignedIn {
    pub(super) session: Arc<Session>,
    pub(super) handle: Handle,
}

/// One connection.
pub(super) struct Client {
    pub(super) shared: Arc<Shared>,
    pub(super) peer: SocketAddr,
    vital: Arc<Vital>,
    pub(super) ident: Arc<Ident>,
    pub(super) id: SessionId,
    /// Unknown keys that it has proved.
    pub(super) unknown_keys: u8,
    /// It came when the open files that were left were kept for operators.
    crowded: bool,
    verified: Option<Verified>,
    pub(super) session: Option<Arc<Session>>,
    signed_in: Option<oneshot::Sender<SignedIn>>,
    doors: HashMap<ChannelId, Door>,
}

struct Verified {
    admitted: Admitted,
    user: String,
}

impl Client {
    pub(super) fn new(
        shared: Arc<Shared>,
        peer: SocketAddr,
        vital: Arc<Vital>,
        ident: Arc<Ident>,
        crowded: bool,
        signed_in: oneshot::Sender<SignedIn>,
    ) -> Box<Self> {
        Box::new(Self {
            shared,
            peer,
            vital,
            ident,
            id: SessionId::new(),
            unknown_keys: 0,
            crowded,
            verified: None,
            session: None,
            signed_in: Some(signed_in),
            doors: HashMap::new(),
        })
    }
}

/// Boxed, as are the larger futures within: the library's task for a session holds the handler four times over and room
/// for each of its futures twice, whether they run or not. With ten thousand sessions that counts.
impl Handler for Box<Client> {
    type Error = russh::Error;

    async fn auth_password(&mut self, user: &str, _password: &str) -> Result<Auth, russh::Error> {
        self.auth_failed("password", user, "only public keys are accepted", Context::default());
        Ok(Auth::reject())
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        user: &str,
        _submethods: &str,
        _response: Option<russh::server::Response<'a>>,
    ) -> Result<Auth, russh::Error> {
        self.auth_failed("keyboard-interactive", user, "only public keys are accepted", Context::default());
        Ok(Auth::reject())
    }

    async fn auth_openssh_certificate(
        &mut self,
        user: &str,
        certificate: &russh::keys::Certificate,
    ) -> Result<Auth, russh::Error> {
        let judged = self.judge_certificate(user, certificate);
        Ok(self.verdict(user, judged))
    }

    async fn auth_publickey_offered(&mut self, user: &str, offer: PublicKeyOffer<'_>) -> Result<Auth, russh::Error> {
        match self.offer(user, offer.public_key, offer.algorithm) {
            Ok(fingerprint) => {
                self.ident.offered(&fingerprint);
                Ok(Auth::Accept)
            }
            Err(no) => {
                let (rule, context) = *no;
                self.auth_failed("publickey", user, &rule, context);
                Ok(Auth::reject())
            }
        }
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, russh::Error> {
        let judged = self.judge(user, key.public_key, key.algorithm);
        if judged.is_err() {
            self.note_pending(user, key.public_key, key.algorithm);
        }
        Ok(self.verdict(user, judged))
    }

    async fn auth_succeeded(&mut self, ssh: &mut Ssh) -> Result<(), russh::Error> {
        let (Some(v), Some(signed_in)) = (self.verified.take(), self.signed_in.take()) else {
            return Err(russh::Error::Inconsistent);
        };
        let config = self.shared.registry.config();
        let (kind, name, host, team, role) = match &v.admitted.holder {
            Principal::Host(h) => {
                let team = config.hosts.get(h).map(|x| x.team.clone());
                (SessionKind::Host, h.to_string(), Some(h.clone()), team, None)
            }
            Principal::Operator(o) => {
                let role = config.operators.get(o).map(|x| x.role);
                (SessionKind::Operator, o.to_string(), None::<HostName>, None, role)
            }
        };
        let software = self.ident.software();
        let session = Arc::new(Session {
            id: self.id,
            kind,
            name,
            host,
            team,
            role,
            user: v.user,
            source: self.peer,
            credential: v.admitted.credential,
            algorithms: self.ident.take_offer().and_then(|o| super::algorithms::agreed(&config, &o, &software)),
            client: software,
            since: now(),
            vital: Arc::clone(&self.vital),
            orders: Mailbox::default(),
            over: Said::default(),
        });
        let begins = if self.crowded && kind == SessionKind::Host {
            Err("the open files that are left are kept for operators".to_owned())
        } else {
            self.shared.registry.session_begins(Arc::clone(&session))
        };
        if let Err(rule) = begins {
            self.ident.proved();
            self.sign_in_refused("publickey", &session.user, &rule, session.context());
            return Err(russh::Error::Disconnect);
        }
        self.session = Some(Arc::clone(&session));
        self.ident.proved();
        let what = What::AuthSuccess { role, client: session.client.clone() };
        self.shared.registry.journal.record(Event::success(self.actor(), what, session.context()));
        let sent = signed_in.send(SignedIn { session: Arc::clone(&session), handle: ssh.handle() });
        if sent.is_err() {
            // The owner gave up on it at this very moment.
            let obituary = Obituary::of(ObituaryCause::ClientDisconnect);
            Box::pin(self.shared.registry.session_ends(&session, &obituary)).await;
            return Err(russh::Error::Disconnect);
        }
        Ok(())
    }

    async fn tcpip_forward(&mut self, address: &str, port: &mut u32, ssh: &mut Ssh) -> Result<bool, russh::Error> {
        let asked = *port;
        let granted = match (self.session.clone(), self.may_forward()) {
            (Some(s), Ok(())) => Box::pin(self.forward(&s, address, asked, ssh.handle())).await,
            (Some(_), Err(rule)) => Err(rule),
            (None, _) => Err("nobody has signed in".to_owned()),
        };
        match granted {
            Ok(given) => {
                *port = given.get().into();
                Ok(true)
            }
            Err(rule) => {
                if let Some(host) = self.session.as_ref().and_then(|s| s.host.as_ref()) {
                    self.shared.registry.note_refusal(host, &rule, Some(self.id));
                }
                // Shown by `ssh -v`; others at least learn that it was refused.
                ssh.debug(true, &format!("portreeve: {rule}"), "en")?;
                let what = What::ForwardRefused { asked: clean(address, 100), asked_port: asked };
                let context = Context { port: Port::try_from(asked).ok(), ..self.context() };
                let event = Event::refused(self.actor(), what, &rule, context);
                self.shared.registry.record_request(self.id, "tcpip-forward", event);
                Ok(false)
            }
        }
    }

    async fn cancel_tcpip_forward(&mut self, _address: &str, port: u32, _ssh: &mut Ssh) -> Result<bool, russh::Error> {
        let tunnel = self
            .session
            .as_ref()
            .zip(Port::try_from(port).ok())
            .and_then(|(s, p)| self.shared.registry.cancel_forward(s, p));
        if let Some(t) = &tunnel {
            // A client that asks for the port again right away finds it free. The end of a tunnel does not depend on
            // this session's loop, so it may be waited for.
            let _ = tokio::time::timeout(CANCEL_WAIT, t.closed()).await;
        }
        Ok(tunnel.is_some())
    }

    async fn streamlocal_forward(&mut self, path: &str, _ssh: &mut Ssh) -> Result<bool, russh::Error> {
        self.refuse(
            "streamlocal-forward@openssh.com",
            &format!("forwarding of sockets ({}) is not offered", clean_line(path)),
        );
        Ok(false)
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _ssh: &mut Ssh,
    ) -> Result<(), russh::Error> {
        self.doors.retain(|_, door| !door.spent());
        if self.doors.len() >= SESSION_CHANNELS {
            self.refuse("session", &format!("a connection may have {SESSION_CHANNELS} session channels"));
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        }
        // A host's is opened too, so that what it asks for can be refused with a sentence rather than with a number.
        let id = channel.id();
        let (_, write) = channel.split();
        self.doors.insert(id, Door::new(write));
        reply.accept().await;
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        _originator: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        ssh: &mut Ssh,
    ) -> Result<(), russh::Error> {
        let target = match self.operator() {
            Some(op) => self.may_forward().and_then(|()| self.target(op, host, port)).map(|t| (Arc::clone(op), t)),
            None => Err("hosts may not connect through the bastion".to_owned()),
        };
        match target {
            Ok((operator, tunnel)) => {
                let registry = Arc::clone(&self.shared.registry);
                tokio::spawn(super::visit::visit(registry, operator, tunnel, channel, reply));
            }
            Err(rule) => {
                ssh.debug(true, &format!("portreeve: {rule}"), "en")?;
                self.refuse("direct-tcpip", &format!("{rule} (asked for {}:{port})", clean(host, 80)));
                reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await;
            }
        }
        Ok(())
    }

    async fn channel_open_x11(
        &mut self,
        _channel: Channel<Msg>,
        _address: &str,
        _port: u32,
        reply: ChannelOpenHandle,
        _ssh: &mut Ssh,
    ) -> Result<(), russh::Error> {
        self.refuse("x11", "X11 is not offered");
        reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await;
        Ok(())
    }

    async fn channel_open_forwarded_tcpip(
        &mut self,
        _channel: Channel<Msg>,
        _host: &str,
        _port: u32,
        _originator: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        _ssh: &mut Ssh,
    ) -> Result<(), russh::Error> {
        self.refuse("forwarded-tcpip", "only the server opens forwarded channels");
        reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await;
        Ok(())
    }

    async fn channel_open_direct_streamlocal(
        &mut self,
        _channel: Channel<Msg>,
        path: &str,
        reply: ChannelOpenHandle,
        _ssh: &mut Ssh,
    ) -> Result<(), russh::Error> {
        self.refuse("direct-streamlocal@openssh.com", &format!("sockets ({}) are not reachable", clean_line(path)));
        reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await;
        Ok(())
    }

    async fn pty_request(
        &mut self,
        id: ChannelId,
        term: &str,
        columns: u32,
        rows: u32,
        _pix_width: u32,
        _pix_height: u32,
        _modes: &[(Pty, u32)],
        ssh: &mut Ssh,
    ) -> Result<(), russh::Error> {
        if self.operator().is_none() {
            // `ssh -R …` without -N asks for a terminal first; the shell that follows is what is refused in words.
            self.refuse("pty-req", "hosts have no terminal here");
            return ssh.channel_failure(id);
        }
        if let Some(c) = self.certified().filter(|c| !c.terminal) {
            self.refuse("pty-req", &format!("the {} has no permit-pty", c.mark));
            return ssh.channel_failure(id);
        }
        match self.doors.get_mut(&id) {
            Some(door) => {
                door.screen = Some(Screen { term: clean(term, 60), size: clamp(columns, rows) });
                ssh.channel_success(id)
            }
            None => ssh.channel_failure(id),
        }
    }

    async fn env_request(&mut self, id: ChannelId, name: &str, value: &str, ssh: &mut Ssh) -> Result<(), russh::Error> {
        let wanted = matches!(name, "LANG" | "LC_ALL" | "LC_CTYPE" | "LC_MESSAGES" | "NO_COLOR" | "COLORTERM" | "TZ");
        match self.doors.get_mut(&id) {
            Some(door) if wanted => {
                door.env.insert(name.to_owned(), clean(value, 60));
                ssh.channel_success(id)
            }
            _ => ssh.channel_failure(id),
        }
    }

    async fn shell_request(&mut self, id: ChannelId, ssh: &mut Ssh) -> Result<(), russh::Error> {
        let Some(operator) = self.operator().cloned() else {
            let rule = "hosts have no shell here; use ssh -N";
            return self.refuse_on(id, "shell", rule, ssh);
        };
        if let Some(forced) = self.certified().and_then(|c| c.command.clone()) {
            return self.run(id, operator, forced, ssh);
        }
        match self.doors.get_mut(&id).and_then(Door::open) {
            Some(channel) if channel.screen.is_some() => {
                ssh.channel_success(id)?;
                self.shared.front.console(operator, channel);
                Ok(())
            }
            _ => self.refuse_on(id, "shell", "the console needs a terminal: use ssh -t", ssh),
        }
    }

    async fn exec_request(&mut self, id: ChannelId, command: &[u8], ssh: &mut Ssh) -> Result<(), russh::Error> {
        let Some(operator) = self.operator().cloned() else {
            let rule = "hosts may not run commands here; use ssh -N";
            return self.refuse_on(id, "exec", rule, ssh);
        };
        // As sshd does it: whatever is asked for, that command is run.
        let forced = self.certified().and_then(|c| c.command.clone());
        let line = forced.unwrap_or_else(|| String::from_utf8_lossy(command).into_owned());
        self.run(id, operator, line, ssh)
    }

    async fn subsystem_request(&mut self, id: ChannelId, name: &str, ssh: &mut Ssh) -> Result<(), russh::Error> {
        self.refuse_on(id, "subsystem", &format!("there is no subsystem {}", clean(name, 40)), ssh)
    }

    async fn x11_request(
        &mut self,
        id: ChannelId,
        _single: bool,
        _protocol: &str,
        _cookie: &str,
        _screen: u32,
        ssh: &mut Ssh,
    ) -> Result<(), russh::Error> {
        self.refuse("x11-req", "X11 is not offered");
        ssh.channel_failure(id)
    }

    async fn agent_request(&mut self, _id: ChannelId, _ssh: &mut Ssh) -> Result<bool, russh::Error> {
        self.refuse("auth-agent-req@openssh.com", "agent forwarding is not offered");
        Ok(false)
    }

    async fn window_change_request(
        &mut self,
        id: ChannelId,
        columns: u32,
        rows: u32,
        _pix_width: u32,
        _pix_height: u32,
        _ssh: &mut Ssh,
    ) -> Result<(), russh::Error> {
        if let Some(door) = self.doors.get(&id) {
            door.resize(clamp(columns, rows));
        }
        Ok(())
    }

    async fn data(&mut self, id: ChannelId, data: &[u8], ssh: &mut Ssh) -> Result<(), russh::Error> {
        self.vital.carries(data.len() + MESSAGE);
        if let Some(door) = self.doors.get(&id)
            && !door.input(data)
        {
            // Somebody pastes megabytes into a console that does not keep up. It must not hold up the session.
            ssh.close(id)?;
        }
        Ok(())
    }

    async fn channel_eof(&mut self, id: ChannelId, _ssh: &mut Ssh) -> Result<(), russh::Error> {
        self.vital.carries(MESSAGE);
        if let Some(door) = self.doors.get_mut(&id) {
            door.end_of_input();
        }
        Ok(())
    }

    async fn channel_close(&mut self, id: ChannelId, _ssh: &mut Ssh) -> Result<(), russh::Error> {
        self.doors.remove(&id);
        Ok(())
    }
}

fn clamp(columns: u32, rows: u32) -> (u16, u16) {
    let fit = |n: u32, max: u16| u16::try_from(n).unwrap_or(max).clamp(1, max);
    // Zero means "unknown" (RFC 4254 §6.2).
    let columns = if columns == 0 { 80 } else { columns };
    let rows = if rows == 0 { 24 } else { rows };
    (fit(columns, 500), fit(rows, 200))
}
