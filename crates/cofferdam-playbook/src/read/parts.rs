//! Agents, targets, credentials, markings, extensions, references and signatures.
//!
//! **Invariant:** the value of a `password` or `token` is looked at for its type and forgotten.

use std::collections::BTreeMap;

use super::clip;
use crate::{
    fields::{Fields, check_id},
    issue::{Desk, Rule},
    json::{Member, Node, Span, Value},
    model::{Authentication, Extension, Marking, Party, SignatureInfo},
};

/// Types of agents and targets (§7.2), and what each has beyond the common properties.
const PARTIES: &[&str] = &[
    "group",
    "http-api",
    "individual",
    "linux",
    "location",
    "net-address",
    "organization",
    "sector",
    "security-category",
    "ssh",
];
/// Types that must have a network address.
const ADDRESSED: &[&str] = &["http-api", "linux", "ssh"];
/// Types of other things that stand in dictionaries.
const OTHERS: &[&str] = &[
    "action",
    "end",
    "extension-definition",
    "http-basic",
    "if-condition",
    "marking-iep",
    "marking-statement",
    "marking-tlp",
    "oauth2",
    "parallel",
    "playbook-action",
    "start",
    "switch-condition",
    "user-auth",
    "while-condition",
];

/// Deepest nesting of countersignatures.
const COUNTERSIGNATURES_MAX: usize = 4;

pub(super) fn is_known_kind(kind: &str) -> bool {
    PARTIES.contains(&kind) || OTHERS.contains(&kind)
}

pub(super) fn party(desk: &Desk, member: &Member) -> Option<Party> {
    let fields = Fields::of(desk, &member.value, "an agent or target")?;
    fields.require("type");
    fields.require("name");
    let kind = fields.text("type").unwrap_or_default();
    if !PARTIES.contains(&kind.as_str()) {
        let message = format!("`{}` is no type of agent or target of the standard", clip(&kind));
        desk.tell(Rule::OpenWord, &member.value.span, message);
        let known = member.key.split_once("--").is_some_and(|it| PARTIES.contains(&it.0));
        if known {
            let message =
                format!("the identifier says `{}`, the type `{}`", clip(&member.key), clip(&kind));
            desk.tell(Rule::IdentifierKind, &member.key_span, message);
        }
    }
    if ADDRESSED.contains(&kind.as_str()) {
        fields.require("address");
    }
    if kind == "sector" {
        fields.require("sector");
        fields.text("sector");
    }
    if kind == "security-category" {
        fields.require("category");
    }
    if let Some(node) = fields.node("location") {
        location(desk, node);
    }
    if kind == "location" {
        fields.plain_texts("logical", 1);
    }
    if let Some(node) = fields.node("contact") {
        contact(desk, node);
    }
    fields.extensions("agent_target_extensions");
    let party = Party {
        name: fields.text("name").unwrap_or_default(),
        description: fields.text("description"),
        address: addresses(desk, &fields),
        port: fields.text("port"),
        authentication: fields.id("authentication_info"),
        category: fields.plain_texts("category", 1),
        kind,
    };
    fields.close();
    Some(party)
}

fn addresses(desk: &Desk, fields: &Fields<'_>) -> BTreeMap<String, Vec<String>> {
    let mut out = BTreeMap::new();
    for it in fields.entries("address", 0) {
        if !["url", "l2mac", "ipv4", "ipv6", "vlan", "dname"].contains(&it.key.as_str()) {
            let message = format!("`{}` is no kind of address", clip(&it.key));
            desk.tell(Rule::Unknown, &it.key_span, message);
        }
        let Value::Array(items) = &it.value.value else {
            desk.tell(Rule::Kind, &it.value.span, "addresses stand in a list");
            continue;
        };
        let texts = items.iter().filter_map(|item| address(desk, &it.key, item)).collect();
        out.insert(it.key.clone(), texts);
    }
    out
}

fn address(desk: &Desk, kind: &str, node: &Node) -> Option<String> {
    match &node.value {
        Value::Number(it) if kind == "vlan" => {
            if !it.parse::<u16>().is_ok_and(|it| it <= 4_095) {
                desk.tell(Rule::Bounds, &node.span, "a VLAN is a number from 0 to 4095");
            }
            Some(it.clone())
        }
        Value::String(text) if kind != "vlan" => {
            let of = match kind {
                "url" => "uri",
                "l2mac" => "mac-addr",
                "ipv4" => "ipv4-addr",
                "ipv6" => "ipv6-addr",
                _ => "string",
            };
            // A variable may stand in its place.
            if !text.contains("__") && crate::variable::unfit(of, text).is_some() {
                desk.tell(
                    Rule::Bounds,
                    &node.span,
                    format!("`{}` is no {kind} address", clip(text)),
                );
            }
            Some(text.clone())
        }
        _ => {
            desk.tell(Rule::Kind, &node.span, format!("this is no {kind} address"));
            None
        }
    }
}

fn contact(desk: &Desk, node: &Node) {
    let Some(fields) = Fields::of(desk, node, "a contact") else { return };
    for (key, what) in [("email", "an e-mail address"), ("phone", "a telephone number")] {
        for it in fields.entries(key, 0) {
            let good = match &it.value.value {
                Value::String(text) if key == "email" => is_email(text),
                Value::String(text) => text.bytes().any(|it| it.is_ascii_digit()),
                _ => false,
            };
            if !good {
                desk.tell(Rule::Bounds, &it.value.span, format!("this is not {what}"));
            }
        }
    }
    fields.text("contact_details");
    fields.close();
}

/// One `@` between something and a name with a dot or more.
fn is_email(text: &str) -> bool {
    let plain = |it: char| !it.is_whitespace() && !it.is_control() && it != '@';
    text.len() <= 254
        && text.split_once('@').is_some_and(|(local, host)| {
            !local.is_empty()
                && local.chars().all(plain)
                && host.split('.').all(|it| !it.is_empty())
                && host.chars().all(plain)
        })
}

fn location(desk: &Desk, node: &Node) {
    let Some(fields) = Fields::of(desk, node, "a location") else { return };
    for key in [
        "name",
        "description",
        "building_details",
        "network_details",
        "region",
        "country",
        "administrative_area",
        "city",
        "street_address",
        "postal_code",
        "latitude",
        "longitude",
        "precision",
    ] {
        fields.text(key);
    }
    fields.close();
}

pub(super) fn authentication(desk: &Desk, member: &Member) -> Option<Authentication> {
    let fields = Fields::of(desk, &member.value, "authentication information")?;
    fields.require("type");
    let kind = fields.text("type").unwrap_or_default();
    let (user, secrets): (&str, &[&str]) = match kind.as_str() {
        "http-basic" => ("user_id", &["password"]),
        "oauth2" => ("oauth_header", &["token"]),
        "user-auth" => ("username", &["password"]),
        other => {
            let message = format!("`{}` is no type of authentication that we know", clip(other));
            desk.tell(Rule::OpenWord, &member.value.span, message);
            ("username", &["password", "token", "private_key"])
        }
    };
    if kind == "oauth2" {
        fields.require("oauth_header");
        fields.require("token");
    }
    let mut had_secret = false;
    for key in secrets {
        if fields.text(key).is_some_and(|it| !it.is_empty()) {
            had_secret = true;
            let span = fields.node(key).map_or(&member.value.span, |it| &it.span);
            let hint = "name a key store's entry in `kms_key_identifier`; the secret is not used";
            desk.secret(span, format!("a {key} stands in the playbook"), hint);
        }
    }
    fields.flag("kms");
    fields.extensions("authentication_info_extensions");
    fields.text("description");
    let authentication = Authentication {
        name: fields.text("name"),
        user: fields.text(user),
        kms_key: fields.text("kms_key_identifier"),
        had_secret,
        kind,
    };
    fields.close();
    Some(authentication)
}

pub(super) fn marking(desk: &Desk, member: &Member) -> Option<Marking> {
    let fields = Fields::of(desk, &member.value, "a data marking")?;
    for key in ["type", "id", "created_by", "created"] {
        fields.require(key);
    }
    let kind = fields.word("type", &["marking-statement", "marking-tlp", "marking-iep"])?;
    if fields.id("id").is_some_and(|it| it != member.key) {
        desk.tell(Rule::Dangling, &member.key_span, "the key and the `id` of this marking differ");
    }
    fields.id("created_by");
    let times = [fields.time("valid_from"), fields.time("valid_until")];
    if let [Some(from), Some(until)] = times
        && until <= from
    {
        desk.tell(Rule::Validity, &member.value.span, "`valid_until` is not after `valid_from`");
    }
    fields.time("created");
    fields.flag("revoked");
    fields.plain_texts("labels", 1);
    fields.extensions("marking_extensions");
    let name = fields.text("name");
    fields.text("description");
    let marking = match kind.as_str() {
        "marking-tlp" => {
            fields.require("tlpv2_level");
            let levels = ["TLP:RED", "TLP:AMBER", "TLP:AMBER+STRICT", "TLP:GREEN", "TLP:CLEAR"];
            Marking::MarkingTlp { level: fields.word("tlpv2_level", &levels)? }
        }
        "marking-statement" => {
            fields.require("statement");
            Marking::MarkingStatement { statement: fields.text("statement")? }
        }
        "marking-iep" => {
            iep(&fields);
            Marking::MarkingIep { name: name.unwrap_or_default() }
        }
        _ => return None,
    };
    if kind != "marking-iep" {
        for it in fields.items("external_references", 1) {
            reference(desk, it);
        }
    }
    fields.close();
    Some(marking)
}

fn iep(fields: &Fields<'_>) {
    for key in [
        "name",
        "description",
        "tlp",
        "encrypt_in_transit",
        "permitted_actions",
        "affected_party_notifications",
        "attribution",
        "unmodified_resale",
    ] {
        fields.require(key);
        fields.text(key);
    }
    fields.require("iep_version");
    fields.whole("iep_version", 0, i64::from(i32::MAX));
    fields.require("start_date");
    fields.time("start_date");
    fields.require("end_date");
    if fields.node("end_date").is_some_and(|it| it.value != Value::Null) {
        fields.time("end_date");
    }
    fields.require("external_references");
    fields.plain_texts("external_references", 0);
}

pub(super) fn extension(desk: &Desk, member: &Member) -> Option<Extension> {
    let fields = Fields::of(desk, &member.value, "an extension definition")?;
    for key in ["type", "name", "created_by", "schema", "version"] {
        fields.require(key);
    }
    fields.word("type", &["extension-definition"]);
    fields.id("created_by");
    fields.text("description");
    for it in fields.items("external_references", 0) {
        reference(desk, it);
    }
    let extension = Extension {
        name: fields.text("name").unwrap_or_default(),
        version: fields.text("version").unwrap_or_default(),
        schema: fields.text("schema").unwrap_or_default(),
    };
    fields.close();
    Some(extension)
}

pub(super) fn reference(desk: &Desk, node: &Node) {
    let Some(fields) = Fields::of(desk, node, "an external reference") else { return };
    fields.require("name");
    for key in ["name", "description", "source", "url", "external_id", "reference_id"] {
        fields.text(key);
    }
    fields.close();
}

pub(super) fn signature(desk: &Desk, node: &Node, depth: usize) -> Option<SignatureInfo> {
    let fields = Fields::of(desk, node, "a signature")?;
    for key in [
        "type",
        "id",
        "created",
        "modified",
        "signee",
        "related_to",
        "related_version",
        "hash_algorithm",
        "algorithm",
        "value",
    ] {
        fields.require(key);
    }
    fields.word("type", &["jss"]);
    let id = fields.id("id").unwrap_or_default();
    check_id(desk, fields.node("id").map_or(&node.span, |it| &it.span), &id, Some("jss"));
    fields.id("created_by");
    let order = (fields.time("created"), fields.time("modified"));
    if let (Some(created), Some(modified)) = order
        && modified < created
    {
        desk.tell(Rule::TimeOrder, &node.span, "the signature's `modified` is before `created`");
    }
    let keys = ["public_key", "public_cert_chain", "cert_url", "thumbprint"];
    if keys.iter().filter(|it| fields.node(it).is_some()).count() != 1 {
        let message = format!("a signature has exactly one of: {}", keys.join(", "));
        desk.tell(Rule::Missing, &node.span, message);
    }
    for key in ["hash_algorithm", "value", "public_key", "cert_url", "thumbprint"] {
        fields.text(key);
    }
    fields.plain_texts("public_cert_chain", 1);
    if let Some(inner) = fields.node("signature") {
        if depth >= COUNTERSIGNATURES_MAX {
            desk.tell(Rule::Bounds, &inner.span, "too many signatures inside one another");
        } else {
            signature(desk, inner, depth + 1);
        }
    }
    let (valid_from, valid_until) = (fields.time("valid_from"), fields.time("valid_until"));
    validity(desk, &node.span, valid_from, valid_until);
    let signature = SignatureInfo {
        id,
        signee: fields.text("signee").unwrap_or_default(),
        algorithm: fields.text("algorithm").unwrap_or_default(),
        revoked: fields.flag("revoked").unwrap_or_default(),
        valid_from,
        valid_until,
        related_to: fields.id("related_to").unwrap_or_default(),
        related_version: fields.time("related_version").unwrap_or_default(),
    };
    fields.close();
    Some(signature)
}

fn validity(
    desk: &Desk,
    span: &Span,
    from: Option<cofferdam_core::Timestamp>,
    until: Option<cofferdam_core::Timestamp>,
) {
    if let (Some(from), Some(until)) = (from, until)
        && until <= from
    {
        desk.tell(Rule::Validity, span, "`valid_until` is not after `valid_from`");
    }
}
