//! The journal's events in the Open Cybersecurity Schema Framework (<https://schema.ocsf.io>), version 1.5.
//!
//! One table says class and activity of each event; the context fields go where OCSF has a place for them, and the
//! journal's own line goes along whole (`raw_data`), so that nothing is lost and its hash can still be checked.

use super::{Actor, Outcome, Record, What};
use crate::model::Severity;
use serde_json::{Map, Value, json};

/// Version of the schema.
pub const OCSF_VERSION: &str = "1.5.0";

/// How one event is told in OCSF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ocsf {
    /// The journal's name for it.
    pub event: &'static str,
    /// `class_uid`; its thousands are the category.
    pub class: u32,
    /// The class's caption.
    pub class_name: &'static str,
    /// `activity_id`; 99 for what the class has no word for.
    pub activity: u32,
    /// The activity's caption, or our own word for 99.
    pub activity_name: &'static str,
}

const LIFECYCLE: (u32, &str) = (6002, "Application Lifecycle");
const API: (u32, &str) = (6003, "API Activity");
const LOG: (u32, &str) = (1008, "Event Log Activity");
const AUTH: (u32, &str) = (3002, "Authentication");
const ACCESS: (u32, &str) = (3005, "User Access Management");
const NETWORK: (u32, &str) = (4001, "Network Activity");
const SSH: (u32, &str) = (4007, "SSH Activity");
const INCIDENT: (u32, &str) = (2005, "Incident Finding");

const fn to(event: &'static str, class: (u32, &'static str), activity: u32, activity_name: &'static str) -> Ocsf {
    Ocsf { event, class: class.0, class_name: class.1, activity, activity_name }
}

/// Every event of the journal.
pub const OCSF: &[Ocsf] = &[
    to("daemon.start", LIFECYCLE, 3, "Start"),
    to("daemon.stop", LIFECYCLE, 4, "Stop"),
    to("audit.recovered", LOG, 99, "Recovered"),
    to("audit.resumed", LOG, 99, "Resumed"),
    to("audit.checkpoint", LOG, 99, "Checkpoint"),
    to("audit.expired", LOG, 2, "Delete"),
    to("audit.shipping", LOG, 99, "Shipping"),
    to("config.reload", API, 3, "Update"),
    to("config.conflict", API, 99, "Conflict"),
    to("trust.list", API, 2, "Read"),
    to("auth.success", AUTH, 1, "Logon"),
    to("auth.failure", AUTH, 1, "Logon"),
    to("key.pending", ACCESS, 99, "Pending"),
    to("key.approved", ACCESS, 1, "Assign Privileges"),
    to("key.unapproved", ACCESS, 2, "Revoke Privileges"),
    to("key.dismissed", ACCESS, 99, "Dismissed"),
    to("connection.refused", SSH, 5, "Refuse"),
    to("refusals.counted", SSH, 5, "Refuse"),
    to("session.end", SSH, 2, "Close"),
    to("request.refused", SSH, 5, "Refuse"),
    to("forward.granted", SSH, 7, "Listen"),
    to("forward.refused", SSH, 5, "Refuse"),
    to("forward.end", SSH, 2, "Close"),
    to("visitor.open", NETWORK, 1, "Open"),
    to("visitor.refused", NETWORK, 5, "Refuse"),
    to("visitor.slows", NETWORK, 6, "Traffic"),
    to("visitor.close", NETWORK, 2, "Close"),
    to("health.change", LIFECYCLE, 99, "Health"),
    to("lease.granted", API, 1, "Create"),
    to("lease.moved", API, 3, "Update"),
    to("lease.released", API, 4, "Delete"),
    to("port.reserved", API, 1, "Create"),
    to("port.unreserved", API, 4, "Delete"),
    to("operator.reconnect", API, 3, "Update"),
    to("operator.revoke", ACCESS, 2, "Revoke Privileges"),
    to("operator.revoked", ACCESS, 2, "Revoke Privileges"),
    to("operator.restore", ACCESS, 1, "Assign Privileges"),
    to("operator.mute", INCIDENT, 2, "Update"),
    to("operator.unmute", INCIDENT, 2, "Update"),
    to("operator.grant", ACCESS, 1, "Assign Privileges"),
    to("operator.ungrant", ACCESS, 2, "Revoke Privileges"),
    to("incident.open", INCIDENT, 1, "Create"),
    to("incident.close", INCIDENT, 3, "Close"),
    to("operator.propose", API, 1, "Create"),
    to("operator.confirm", API, 3, "Update"),
    to("operator.withdraw", API, 4, "Delete"),
    to("operator.logout", AUTH, 2, "Logoff"),
    to("operator.refused", API, 99, "Refused"),
    to("operator.cut", API, 4, "Delete"),
    to("operator.disconnect", API, 4, "Delete"),
    to("operator.console", API, 99, "Console"),
];

/// `severity_id` and its caption.
fn severity(r: &Record) -> (u32, &'static str) {
    match (&r.event.what, r.event.outcome) {
        (What::IncidentOpen { severity: Severity::Down, .. }, _) => (4, "High"),
        (What::IncidentOpen { severity: Severity::Warning, .. }, _) => (3, "Medium"),
        (
            What::Revoke { .. }
            | What::Revoked { .. }
            | What::Grant { .. }
            | What::Logout { .. }
            | What::AuditRecovered { .. },
            _,
        ) => (3, "Medium"),
        (What::KeyApproved { .. } | What::KeyUnapproved { .. }, _) => (3, "Medium"),
        (What::AuditResumed { .. }, Outcome::Failure) => (5, "Critical"),
        (What::AuditResumed { .. }, _) => (4, "High"),
        (_, Outcome::Success) => (1, "Informational"),
        (_, Outcome::Refused | Outcome::Failure) => (2, "Low"),
    }
}

fn put(to: &mut Map<String, Value>, key: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        to.insert(key.to_owned(), value.into());
    }
}

/// The record as an OCSF event. None for an event this table does not know, which a test rules out.
#[must_use]
pub fn ocsf(r: &Record) -> Option<Value> {
    let name = r.event.name();
    let row = OCSF.iter().find(|o| o.event == name)?;
    let c = &r.event.context;
    let (severity_id, severity) = severity(r);
    let (status_id, status) = match r.event.outcome {
        Outcome::Success => (1, "Success"),
        Outcome::Refused | Outcome::Failure => (2, "Failure"),
    };
    let mut e = Map::new();
    for (key, value) in [
        ("class_uid", row.class),
        ("category_uid", row.class / 1_000),
        ("activity_id", row.activity),
        ("type_uid", row.class * 100 + row.activity),
        ("severity_id", severity_id),
        ("status_id", status_id),
    ] {
        e.insert(key.to_owned(), value.into());
    }
    for (key, value) in [
        ("class_name", row.class_name),
        ("activity_name", row.activity_name),
        ("severity", severity),
        ("status", status),
    ] {
        e.insert(key.to_owned(), value.into());
    }
    e.insert("time".to_owned(), r.at.timestamp_millis().into());
    let mut metadata = json!({
        "version": OCSF_VERSION,
        "product": { "name": "portreeve", "vendor_name": "portreeve", "version": env!("CARGO_PKG_VERSION") },
        "event_code": name,
        "log_name": "portreeve audit",
        "sequence": r.seq.0,
        "uid": r.hash,
    });
    // One id from the sign-in to the last byte of the last visit.
    if let (Some(session), Some(metadata)) = (c.session, metadata.as_object_mut()) {
        metadata.insert("correlation_uid".to_owned(), session.to_string().into());
    }
    e.insert("metadata".to_owned(), metadata);
    let (who, kind) = match &r.event.actor {
        Actor::Operator(n) => (Some(n.as_str()), "operator"),
        Actor::Host(n) => (Some(n.as_str()), "host"),
        Actor::Visitor => (None, "visitor"),
        Actor::Unknown => (c.user.as_deref(), "unknown"),
        Actor::Daemon => (None, "daemon"),
    };
    let mut user = json!({ "type": kind, "type_id": if kind == "daemon" { 3 } else { 99 } });
    if let Some(user) = user.as_object_mut() {
        put(user, "name", who);
        put(user, "credential_uid", c.fingerprint.clone());
    }
    e.insert("actor".to_owned(), json!({ "user": user }));
    if let What::Logout { operator, .. } = &r.event.what {
        // Of that class the user is who is logged off; the actor is who did it.
        e.insert("user".to_owned(), json!({ "type": "operator", "type_id": 99, "name": operator.as_str() }));
    } else if row.class == AUTH.0 {
        e.insert("user".to_owned(), user);
        e.insert("auth_protocol".to_owned(), "SSH".into());
    }
    if let Some(a) = c.source {
        e.insert("src_endpoint".to_owned(), json!({ "ip": a.ip().to_canonical().to_string(), "port": a.port() }));
    }
    if c.host.is_some() || c.port.is_some() {
        let mut there = Map::new();
        put(&mut there, "hostname", c.host.as_ref().map(ToString::to_string));
        put(&mut there, "port", c.port.map(crate::model::Port::get));
        put(&mut there, "zone", c.team.as_ref().map(ToString::to_string));
        e.insert("dst_endpoint".to_owned(), there.into());
    }
    if let Some(v) = c.visitor {
        e.insert(
            "connection_info".to_owned(),
            json!({ "uid": v.to_string(), "protocol_name": "tcp", "direction_id": 1 }),
        );
    }
    let traffic = match &r.event.what {
        What::SessionEnd { bytes_in, bytes_out, .. } => Some((*bytes_in, *bytes_out)),
        What::ForwardEnd { bytes_to_host, bytes_to_visitors: out, .. }
        | What::VisitorClose { bytes_to_host, bytes_to_visitor: out, .. } => Some((*bytes_to_host, *out)),
        _ => None,
    };
    if let Some((bytes_in, bytes_out)) = traffic {
        let bytes = bytes_in.saturating_add(bytes_out);
        e.insert("traffic".to_owned(), json!({ "bytes_in": bytes_in, "bytes_out": bytes_out, "bytes": bytes }));
    }
    if row.class == API.0 {
        e.insert("api".to_owned(), json!({ "operation": name, "service": { "name": "portreeve" } }));
    }
    let proposed = c.proposed_by.as_ref().map(|name| format!("proposed by {name}"));
    let detail: Vec<&str> = [&proposed, &c.rule, &c.reason].into_iter().flatten().map(String::as_str).collect();
    put(&mut e, "status_detail", (!detail.is_empty()).then(|| detail.join("; ")));
    e.insert("raw_data".to_owned(), serde_json::to_string(r).unwrap_or_default().into());
    Some(e.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Context, Event};
    use crate::model::Seq;

    #[test]
    fn every_event_has_its_place_and_no_place_is_for_nothing() {
        let mut names: Vec<&str> = crate::audit::name::declared().collect();
        let mut mapped: Vec<&str> = OCSF.iter().map(|o| o.event).collect();
        names.sort_unstable();
        mapped.sort_unstable();
        assert_eq!(mapped, names);
    }

    #[test]
    fn a_refused_sign_in_reads_as_a_failed_logon_with_all_that_was_known() {
        let context = Context {
            source: "[::ffff:203.0.113.9]:51530".parse().ok(),
            fingerprint: Some("SHA256:x".into()),
            user: Some("root".into()),
            session: "s252fj9b20k".parse().ok(),
            ..Context::default()
        };
        let what = What::AuthFailure { method: "publickey".into(), client: "OpenSSH_9.2p1".into() };
        let event = Event::refused(Actor::Unknown, what, "unknown key", context);
        let at = "2026-11-21T05:02:40.001Z".parse().unwrap();
        let r = Record { seq: Seq(4813), at, event, prev: "0".repeat(64), hash: "1".repeat(64) };
        let e = ocsf(&r).unwrap();
        for (pointer, value) in [
            ("/class_uid", json!(3002)),
            ("/category_uid", json!(3)),
            ("/activity_id", json!(1)),
            ("/type_uid", json!(300_201)),
            ("/status_id", json!(2)),
            ("/severity_id", json!(2)),
            ("/time", json!(1_795_237_360_001_u64)),
            ("/metadata/sequence", json!(4813)),
            ("/metadata/event_code", json!("auth.failure")),
            ("/metadata/correlation_uid", json!("s252fj9b20k")),
            ("/user/name", json!("root")),
            ("/user/credential_uid", json!("SHA256:x")),
            ("/src_endpoint/ip", json!("203.0.113.9")),
            ("/src_endpoint/port", json!(51530)),
            ("/status_detail", json!("unknown key")),
        ] {
            assert_eq!(e.pointer(pointer), Some(&value), "{pointer} of {e:#}");
        }
        let raw: Record = serde_json::from_str(e["raw_data"].as_str().unwrap()).unwrap();
        assert_eq!(raw, r, "the record itself goes along");
    }

    #[test]
    fn a_visit_tells_its_bytes_and_where_it_went() {
        let context = Context {
            host: "pay-db".parse().ok(),
            team: "pay".parse().ok(),
            port: "20122".parse().ok(),
            visitor: "v252fj9f2pd".parse().ok(),
            ..Context::default()
        };
        let what = What::VisitorClose { seconds: 12.4, bytes_to_host: 4_120, bytes_to_visitor: 98_304 };
        let event = Event::success(Actor::Operator("alice".into()), what, context);
        let r = Record { seq: Seq(1), at: crate::model::now(), event, prev: String::new(), hash: String::new() };
        let e = ocsf(&r).unwrap();
        assert_eq!(e["type_uid"], 400_102);
        assert_eq!(e["traffic"], json!({ "bytes_in": 4_120, "bytes_out": 98_304, "bytes": 102_424 }));
        assert_eq!(e["dst_endpoint"], json!({ "hostname": "pay-db", "port": 20122, "zone": "pay" }));
        assert_eq!(e["actor"]["user"]["name"], "alice");
        assert_eq!(e["connection_info"]["uid"], "v252fj9f2pd");
    }
}
