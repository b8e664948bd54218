//! All expressions of one rule on one contract, and the machine that runs them.

use std::collections::BTreeMap;

use cofferdam_core::read::{Readings, StateRead};

use super::{
    check::{Checker, Let, SourceText},
    compile::{COST_MAX, Program, compile},
    error::{ExprError, Fault, Span, Trap, Wrong},
    eval::{Inputs, Registers, Value, fill},
    event::{Source, Trigger},
    int::Int,
    parse::{RESERVED, parse},
    template::{Format, Part, Piece, Template, pieces, show},
    typed::{Entity, Place, Price, Tables, Ty, Typed},
    window::{Window, WindowMemo},
};

/// The most names in `let`.
const LETS_MAX: usize = 32;

/// The texts of a rule.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spec<'a> {
    pub(crate) condition: &'a str,
    pub(crate) lets: &'a BTreeMap<String, String>,
    pub(crate) loss: Option<&'a str>,
    pub(crate) summary: &'a str,
}

/// The expressions of a rule, compiled.
#[derive(Debug)]
pub(crate) struct Module {
    sources: Vec<SourceText>,
    tables: Tables,
    windows: Vec<WindowProgram>,
    prices: Vec<Price>,
    condition: Program,
    loss: Option<Program>,
    lets: Vec<(String, Program)>,
    summary: Template,
}

#[derive(Debug)]
struct WindowProgram {
    value: Option<Program>,
    key: Option<Program>,
    place: Place,
}

/// What a module remembers and works with.
#[derive(Debug)]
pub(crate) struct Machine {
    registers: Registers,
    slots: Vec<Value>,
    windows: Vec<Window>,
    values: Vec<Value>,
}

impl Module {
    /// Parses, checks and compiles the texts of a rule.
    ///
    /// # Errors
    /// The first thing wrong with them.
    pub(crate) fn load(
        spec: Spec<'_>,
        trigger: &Trigger,
        entity: &Entity,
    ) -> Result<Self, ExprError> {
        let (sources, lets) = sources_of(spec, trigger)?;
        let mut checker = Checker::new(trigger, entity, &sources, &lets);
        let parse_at = |index: usize| parse_source(&sources, index);
        let condition = checker.run_as(0, &parse_at(0)?, Ty::Bool)?;
        if let Some(value) = condition.constant() {
            let what = format!("this is always {}", value.is_true());
            return Err(locate(&sources, condition.place, Wrong::new(condition.place.span, what)));
        }
        let loss = match spec.loss {
            Some(_) => Some(checker.run_as(1, &parse_at(1)?, Ty::Int)?),
            None => None,
        };
        let named = lets.iter().map(|it| Ok((it.name.clone(), checker.run(it.source, &it.expr)?)));
        let named: Vec<(String, Typed)> = named.collect::<Result<_, ExprError>>()?;
        let mut holes = Vec::new();
        for piece in pieces(spec.summary).map_err(|it| it.within("summary", spec.summary))? {
            holes.push(match piece {
                Piece::Text(text) => (Some(text), None),
                Piece::Hole(text, span, format) => {
                    (None, Some(hole(&mut checker, spec.summary, &text, span, format)?))
                }
            });
        }
        let tables = std::mem::take(&mut checker.tables);
        let build =
            |typed: &Typed| compile(typed).map_err(|(place, wrong)| locate(&sources, place, wrong));
        let mut parts = Vec::with_capacity(holes.len());
        for (text, value) in holes {
            parts.extend(text.map(Part::Text));
            if let Some((typed, format)) = value {
                parts.push(Part::Value(build(&typed)?, format));
            }
        }
        let mut windows = Vec::with_capacity(tables.windows.len());
        for it in &tables.windows {
            let value = it.value.as_ref().map(build).transpose()?;
            let key = it.key.as_ref().map(build).transpose()?;
            windows.push(WindowProgram { value, key, place: it.place });
        }
        let module = Self {
            condition: build(&condition)?,
            loss: loss.as_ref().map(build).transpose()?,
            lets: named
                .iter()
                .map(|(name, it)| Ok((name.clone(), build(it)?)))
                .collect::<Result<_, ExprError>>()?,
            summary: Template { parts },
            windows,
            tables,
            prices: entity.prices.clone(),
            sources,
        };
        module.within_cost()
    }

    /// The state it wants to know at the block and its parent.
    pub(crate) fn reads(&self) -> &[StateRead] {
        &self.tables.reads
    }

    /// The most that one event costs, in simple operations.
    pub(crate) fn cost(&self) -> u32 {
        let of_window = |it: &WindowProgram| {
            let parts = it.value.iter().chain(&it.key);
            parts.fold(16_u32, |sum, it| sum.saturating_add(it.cost))
        };
        let windows = self.windows.iter().map(of_window);
        windows.fold(self.condition.cost, u32::saturating_add)
    }

    /// The text at `place` and where that is, for people.
    pub(crate) fn describe(&self, place: Place) -> String {
        let Some(source) = self.sources.get(usize::from(place.source)) else {
            return String::new();
        };
        let located = Wrong::new(place.span, "").within(&source.place, &source.text);
        let (line, column) = located.position();
        let text = place.span.of(&source.text);
        format!("`{text}` in `{}`, line {line}, column {column}", source.place)
    }

    /// A machine with empty windows.
    pub(crate) fn machine(&self) -> Machine {
        let windows = self.tables.windows.iter().map(|it| Window::new(it.aggregate, it.millis));
        Machine {
            registers: Registers::default(),
            slots: Vec::with_capacity(self.tables.slots.len()),
            windows: windows.collect(),
            values: Vec::with_capacity(self.windows.len()),
        }
    }

    /// Takes over the answers to the state reads of an observation.
    pub(crate) fn begin(&self, machine: &mut Machine, readings: &Readings) {
        fill(&self.tables, readings, &mut machine.slots);
    }

    /// Folds an event into the windows. `time` is in milliseconds. Every fault is handed to `missed`:
    /// the window then lacks this event.
    pub(crate) fn update<S: Source>(
        &self,
        machine: &mut Machine,
        source: &S,
        time: u64,
        mut missed: impl FnMut(Trap),
    ) {
        let Machine { registers, slots, windows, values } = machine;
        values.clear();
        for (program, window) in self.windows.iter().zip(windows) {
            let inputs = Inputs { source, slots, windows: &[], prices: &self.prices };
            let part = |it: &Option<Program>, otherwise: Int, registers: &mut Registers| {
                it.as_ref().map_or(Ok(otherwise), |it| it.run(inputs, registers))
            };
            let key = part(&program.key, Int::ZERO, registers);
            let value = key.and_then(|key| Ok((key, part(&program.value, Int::ONE, registers)?)));
            let value = value.and_then(|(key, value)| {
                let trap = |fault| Trap { fault, place: program.place };
                window.observe(time, key, value).map_err(trap)
            });
            values.push(value.map_err(|it| it.fault));
            if let Err(trap) = value {
                missed(trap);
            }
        }
    }

    /// Whether the condition holds for an event that [`Module::update`] has seen.
    ///
    /// # Errors
    /// The fault that leaves it unknown.
    pub(crate) fn holds<S: Source>(&self, machine: &mut Machine, source: &S) -> Result<bool, Trap> {
        self.run(&self.condition, machine, source).map(Int::is_true)
    }

    /// The loss in micro-dollars, if the rule states one.
    ///
    /// # Errors
    /// The fault that leaves it unknown.
    pub(crate) fn loss<S: Source>(
        &self,
        machine: &mut Machine,
        source: &S,
    ) -> Result<Option<Int>, Trap> {
        self.loss.as_ref().map(|it| self.run(it, machine, source)).transpose()
    }

    /// The sentence for people. A value that faults is shown as *unknown*.
    pub(crate) fn summary<S: Source>(&self, machine: &mut Machine, source: &S) -> String {
        let mut out = String::new();
        for part in &self.summary.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Value(program, format) => {
                    out.push_str(&self.shown(program, *format, machine, source));
                }
            }
        }
        out
    }

    /// The names of `let` with their values.
    pub(crate) fn named<S: Source>(
        &self,
        machine: &mut Machine,
        source: &S,
    ) -> Vec<(String, String)> {
        let mut out = Vec::with_capacity(self.lets.len());
        for (name, program) in &self.lets {
            out.push((name.clone(), self.shown(program, Format::Plain, machine, source)));
        }
        out
    }

    /// What the windows hold, each with its text.
    pub(crate) fn memo(&self, machine: &Machine) -> Vec<(String, WindowMemo)> {
        let texts = self.windows.iter().map(|it| self.window_text(it.place).to_owned());
        texts.zip(machine.windows.iter().map(Window::memo)).collect()
    }

    /// Takes back what [`Module::memo`] gave.
    ///
    /// # Errors
    /// If the windows are not these; some may have been recalled then.
    pub(crate) fn recall(
        &self,
        machine: &mut Machine,
        memo: &[(String, WindowMemo)],
    ) -> Result<(), &'static str> {
        if memo.len() != self.windows.len() {
            return Err("another number of windows");
        }
        let windows = self.windows.iter().zip(&mut machine.windows);
        for ((program, window), (text, memo)) in windows.zip(memo) {
            if text != self.window_text(program.place) {
                return Err("another window");
            }
            window.recall(memo)?;
        }
        Ok(())
    }

    /// Whether it remembers anything.
    pub(crate) fn has_windows(&self) -> bool {
        !self.windows.is_empty()
    }

    fn window_text(&self, place: Place) -> &str {
        let source = self.sources.get(usize::from(place.source));
        source.map_or("", |it| place.span.of(&it.text))
    }

    fn shown<S: Source>(
        &self,
        program: &Program,
        format: Format,
        machine: &mut Machine,
        source: &S,
    ) -> String {
        match self.run(program, machine, source) {
            Ok(value) => show(value, program.ty, format),
            Err(trap) => format!("unknown ({})", trap.fault),
        }
    }

    fn run<S: Source>(
        &self,
        program: &Program,
        machine: &mut Machine,
        source: &S,
    ) -> Result<Int, Trap> {
        let Machine { registers, slots, values, .. } = machine;
        program.run(Inputs { source, slots, windows: values, prices: &self.prices }, registers)
    }

    fn within_cost(self) -> Result<Self, ExprError> {
        let cost = self.cost();
        if cost <= COST_MAX {
            return Ok(self);
        }
        let what = format!("an event would cost {cost} operations, more than {COST_MAX}");
        Err(locate(
            &self.sources,
            self.condition.place,
            Wrong::new(self.condition.place.span, what),
        ))
    }
}

impl Machine {
    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.slots.clear();
        self.windows.iter_mut().for_each(Window::clear);
    }
}

type Sources = (Vec<SourceText>, Vec<Let>);

/// Source 0 is `if`, 1 `loss`, 2 `summary`, the rest `let`.
fn sources_of(spec: Spec<'_>, trigger: &Trigger) -> Result<Sources, ExprError> {
    let source = |place: &str, text: &str| SourceText { place: place.into(), text: text.into() };
    let mut sources = vec![
        source("if", spec.condition),
        source("loss", spec.loss.unwrap_or_default()),
        source("summary", spec.summary),
    ];
    let mut lets = Vec::new();
    for (name, text) in spec.lets {
        let place = format!("let.{name}");
        let whole = Span::new(0, text.len());
        let fail = |what: String| Err(Wrong::new(whole, what).within(&place, text));
        let shaped = name.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'_')
            && !name.starts_with(|it: char| it.is_ascii_digit())
            && !name.is_empty();
        if !shaped || RESERVED.contains(&name.as_str()) {
            return fail(format!("`{name}` cannot be a name: letters, digits and `_` only"));
        }
        if trigger.field(name).is_some() {
            return fail(format!("`{name}` is already the name of a field"));
        }
        if lets.len() == LETS_MAX {
            return fail(format!("more than {LETS_MAX} names"));
        }
        let expr = parse(text).map_err(|it| it.within(&place, text))?;
        let index = u16::try_from(sources.len()).unwrap_or(u16::MAX);
        lets.push(Let { name: name.clone(), source: index, expr });
        sources.push(SourceText { place, text: text.clone() });
    }
    Ok((sources, lets))
}

fn parse_source(sources: &[SourceText], index: usize) -> Result<super::ast::Expr, ExprError> {
    let (place, text) = sources.get(index).map_or(("", ""), |it| (&it.place, &it.text));
    parse(text).map_err(|it| it.within(place, text))
}

/// An expression within the summary. It is parsed with blanks in place of all that precedes it, so
/// that its spans are those of the whole sentence.
fn hole(
    checker: &mut Checker<'_>,
    summary: &str,
    text: &str,
    span: Span,
    format: Format,
) -> Result<(Typed, Format), ExprError> {
    let padded = format!("{:start$}{text}", "", start = span.start);
    let expr = parse(&padded).map_err(|it| it.within("summary", summary))?;
    let typed = checker.run(2, &expr)?;
    if format != Format::Plain && typed.ty != Ty::Int {
        let what = format!("the format is for integers, this is {}", typed.ty.name());
        return Err(Wrong::new(span, what).within("summary", summary));
    }
    Ok((typed, format))
}

fn locate(sources: &[SourceText], place: Place, wrong: Wrong) -> ExprError {
    let source = sources.get(usize::from(place.source));
    let (setting, text) = source.map_or(("", ""), |it| (&it.place, &it.text));
    wrong.within(setting, text)
}

/// Whether any of the texts speaks of the contract by the name `self`.
pub(crate) fn speaks_of_self(spec: Spec<'_>) -> bool {
    let word = |text: &str| {
        super::lexer::tokens(text)
            .is_ok_and(|all| all.iter().any(|it| it.token == super::lexer::Token::Word("self")))
    };
    let holes = pieces(spec.summary).unwrap_or_default();
    let in_holes = holes.iter().any(|it| matches!(it, Piece::Hole(text, ..) if word(text)));
    word(spec.condition)
        || spec.loss.is_some_and(word)
        || in_holes
        || spec.lets.values().any(|it| word(it))
}

/// The fault of a part that a rule could not look at at all.
pub(crate) fn unplaced(fault: Fault) -> Trap {
    Trap { fault, place: Place::default() }
}
