//! Workflow steps and their commands.
//!
//! **Invariant:** a step whose own parts cannot be read is told and left out; the rest of the
//! workflow is still read, so that one mistake does not hide the others.

use super::{clip, parts, variables};
use crate::{
    fields::Fields,
    issue::{Desk, Rule},
    json::{Member, Node, Value},
    model::{Action, Command, Step, StepKind},
    pattern::{self, Condition},
    perform::{EXTENSION, Perform},
};

/// Longest delay or timeout, in milliseconds: a year.
const SPAN_MS_MAX: i64 = 366 * 86_400_000;

const STEP_KINDS: &[&str] = &[
    "start",
    "end",
    "action",
    "playbook-action",
    "parallel",
    "if-condition",
    "while-condition",
    "switch-condition",
];

pub(super) fn step(desk: &Desk, member: &Member) -> Option<Step> {
    let fields = Fields::of(desk, &member.value, "a step")?;
    fields.require("type");
    let kind = kind(desk, &fields);
    for it in fields.items("external_references", 1) {
        parts::reference(desk, it);
    }
    let extensions = fields.extensions("step_extensions");
    let ms = |key| fields.whole(key, 0, SPAN_MS_MAX).and_then(|it| u64::try_from(it).ok());
    let step = Step {
        name: fields.text("name"),
        description: fields.text("description"),
        delay_ms: ms("delay").unwrap_or(0),
        timeout_ms: ms("timeout"),
        variables: variables(desk, fields.entries("step_variables", 0)),
        owner: fields.id("owner"),
        on_completion: fields.id("on_completion"),
        on_success: fields.id("on_success"),
        on_failure: fields.id("on_failure"),
        perform: perform(desk, extensions),
        kind: kind?,
        span: member.key_span.clone(),
    };
    pointers(desk, &step);
    fields.close();
    Some(step)
}

fn perform(desk: &Desk, extensions: &[Member]) -> Option<Perform> {
    let ours = extensions.iter().find(|it| it.key == EXTENSION)?;
    match Perform::read(&ours.value) {
        Ok(it) => Some(it),
        Err(why) => {
            let hint = "docs/guides/playbooks.md lists what a step may do";
            desk.hint(Rule::Perform, &ours.value.span, why, hint);
            None
        }
    }
}

/// Which pointers a step may have (§4.1).
fn pointers(desk: &Desk, step: &Step) {
    let has = |it: &Option<String>| it.is_some();
    let (completion, success, failure) =
        (has(&step.on_completion), has(&step.on_success), has(&step.on_failure));
    let message = match step.kind {
        StepKind::End if completion || success || failure => "an end step must not point on",
        StepKind::End => return,
        StepKind::Start if success || failure => "a start step points on with `on_completion` only",
        _ if completion && (success || failure) => {
            "`on_completion` excludes `on_success` and `on_failure`"
        }
        _ if !completion && !success => "a step points on with `on_completion` or `on_success`",
        _ => return,
    };
    desk.tell(Rule::Pointers, &step.span, message);
}

fn kind<'a>(desk: &Desk, fields: &Fields<'a>) -> Option<StepKind> {
    let word = fields.word("type", STEP_KINDS)?;
    Some(match word.as_str() {
        "start" => StepKind::Start,
        "end" => StepKind::End,
        "action" => StepKind::Action(action(desk, fields)),
        "playbook-action" => {
            fields.require("playbook_id");
            StepKind::PlaybookAction {
                playbook: fields.id("playbook_id")?,
                version: fields.time("playbook_version"),
                in_args: fields.plain_texts("in_args", 1),
                out_args: fields.plain_texts("out_args", 1),
            }
        }
        "parallel" => {
            fields.require("next_steps");
            StepKind::Parallel { branches: fields.ids("next_steps", 2) }
        }
        "if-condition" => {
            fields.require("on_true");
            StepKind::If {
                condition: condition(desk, fields)?,
                on_true: fields.id("on_true")?,
                on_false: fields.id("on_false"),
            }
        }
        "while-condition" => {
            fields.require("on_true");
            StepKind::While { condition: condition(desk, fields)?, on_true: fields.id("on_true")? }
        }
        "switch-condition" => {
            fields.require("switch");
            fields.require("cases");
            let (variable, cases) = (switch(desk, fields), cases(desk, fields));
            StepKind::Switch { variable: variable?, cases }
        }
        _ => return None,
    })
}

fn condition<'a>(desk: &Desk, fields: &Fields<'a>) -> Option<Condition> {
    fields.require("condition");
    let text = fields.text("condition")?;
    match pattern::parse(&text) {
        Ok(it) => Some(it),
        Err(error) => {
            let span = fields.node("condition").map_or(fields.span, |it| &it.span);
            desk.tell(Rule::Condition, span, error.to_string());
            None
        }
    }
}

fn switch<'a>(desk: &Desk, fields: &Fields<'a>) -> Option<String> {
    let text = fields.text("switch")?;
    let name = text.strip_suffix(":value").unwrap_or(&text);
    if crate::variable::is_name(name) {
        return Some(name.to_owned());
    }
    let span = fields.node("switch").map_or(fields.span, |it| &it.span);
    desk.tell(Rule::Condition, span, "`switch` names one variable, as `__name__:value`");
    None
}

fn cases<'a>(desk: &Desk, fields: &Fields<'a>) -> std::collections::BTreeMap<String, String> {
    let mut out = std::collections::BTreeMap::new();
    for it in fields.entries("cases", 1) {
        match &it.value.value {
            Value::String(step) => {
                crate::fields::check_id(desk, &it.value.span, step, None);
                out.insert(it.key.clone(), step.clone());
            }
            _ => desk.tell(Rule::Kind, &it.value.span, "a case names a step"),
        }
    }
    out
}

fn action<'a>(desk: &Desk, fields: &Fields<'a>) -> Action {
    fields.require("commands");
    fields.require("agent");
    let commands = fields.items("commands", 1);
    Action {
        commands: commands.iter().filter_map(|it| command(desk, it)).collect(),
        agent: fields.id("agent").unwrap_or_default(),
        targets: fields.ids("targets", 1),
        in_args: fields.plain_texts("in_args", 1),
        out_args: fields.plain_texts("out_args", 1),
    }
}

fn command(desk: &Desk, node: &Node) -> Option<Command> {
    let fields = Fields::of(desk, node, "a command")?;
    fields.require("type");
    let kind = fields.text("type").unwrap_or_default();
    let known = COMMANDS.iter().find(|it| it.0 == kind);
    let command = Command {
        description: fields.text("description"),
        command: fields.text("command"),
        command_b64: base64(desk, &fields, "command_b64"),
        content: fields.text("content"),
        content_b64: base64(desk, &fields, "content_b64"),
        headers: headers(desk, &fields),
        kind: kind.clone(),
    };
    fields.text("version");
    fields.text("playbook_activity");
    for it in fields.items("external_references", 0) {
        parts::reference(desk, it);
    }
    match known {
        Some((_, needs)) => {
            body(desk, node, &kind, needs, &command);
            fields.close();
        }
        None => {
            let message = format!(
                "`{}` is no command type that we can carry out; its step will fail",
                clip(&kind)
            );
            desk.tell(Rule::OpenWord, &node.span, message);
        }
    }
    Some(command)
}

/// What a command must have.
#[derive(Clone, Copy)]
enum Needs {
    /// `command` or `command_b64`, not both.
    Either,
    /// `command`.
    Text,
    /// `command_b64`.
    Base64,
    /// `command` and `content_b64`.
    Both,
    /// `command`, `content_b64` and headers: whatever there is.
    Caldera,
}

/// Command types of the vocabulary (§5.2).
const COMMANDS: &[(&str, Needs)] = &[
    ("bash", Needs::Either),
    ("caldera-cmd", Needs::Caldera),
    ("elastic", Needs::Base64),
    ("http-api", Needs::Text),
    ("jupyter", Needs::Base64),
    ("kestrel", Needs::Base64),
    ("manual", Needs::Either),
    ("openc2-http", Needs::Both),
    ("powershell", Needs::Either),
    ("sigma", Needs::Base64),
    ("ssh", Needs::Either),
    ("yara", Needs::Base64),
];

fn body(desk: &Desk, node: &Node, kind: &str, needs: &Needs, command: &Command) {
    let text = command.command.is_some();
    let b64 = command.command_b64.is_some();
    let missing = match needs {
        Needs::Either | Needs::Caldera if !text && !b64 => "`command` or `command_b64`",
        Needs::Text if !text => "`command`",
        Needs::Base64 if !b64 => "`command_b64`",
        Needs::Both if !text || command.content_b64.is_none() => "`command` and `content_b64`",
        _ => {
            if text && b64 {
                let message = "a command is text or base64, not both";
                desk.tell(Rule::Body, &node.span, message);
            }
            return;
        }
    };
    desk.tell(Rule::Body, &node.span, format!("a {kind} command needs {missing}"));
}

fn base64<'a>(desk: &Desk, fields: &Fields<'a>, key: &'a str) -> Option<String> {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let text = fields.text(key)?;
    if STANDARD.decode(&text).is_err() {
        let span = fields.node(key).map_or(fields.span, |it| &it.span);
        desk.tell(Rule::Body, span, format!("`{key}` is not base64"));
    }
    Some(text)
}

fn headers(desk: &Desk, fields: &Fields<'_>) -> std::collections::BTreeMap<String, Vec<String>> {
    let mut out = std::collections::BTreeMap::new();
    for it in fields.entries("headers", 0) {
        let Value::Array(items) = &it.value.value else {
            desk.tell(Rule::Kind, &it.value.span, "a header is a list of strings");
            continue;
        };
        let values = items.iter().filter_map(|it| {
            let text = it.as_str().map(str::to_owned);
            if text.as_deref().is_none_or(|it| it.contains(['\r', '\n'])) {
                desk.tell(Rule::Kind, &it.span, "a header is a string on one line");
            }
            text
        });
        out.insert(it.key.clone(), values.collect());
    }
    out
}
