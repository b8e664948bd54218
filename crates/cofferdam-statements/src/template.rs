//! Templates: a title and a body with placeholders.
//!
//! A template's text is a title line, an empty line, and the body. A placeholder is written `{{name}}`;
//! the names are those of [`Placeholder`], a closed list.
//!
//! **Invariant:** a template is read once. What is filled in is never read as template.

use crate::{
    Audience, Phase, Placeholder, texts,
    words::{TextError, line, paragraphs},
};

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// As it stands.
    Text(String),
    /// To be filled in.
    Hole(Placeholder),
}

/// A template that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    pub(crate) title: Vec<Piece>,
    pub(crate) body: Vec<Piece>,
}

/// Why a text is no template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// It lacks a title, an empty line, or a body.
    #[error("a template is a title line, an empty line, and a body")]
    Shape,
    /// A `{{` has no `}}`, or the other way round.
    #[error("a placeholder in the template is not closed: `{0}`")]
    Unclosed(String),
    /// There is no placeholder of this name.
    #[error("there is no placeholder `{0}`")]
    Unknown(String),
    /// Its text holds what a statement must not.
    #[error(transparent)]
    Text(#[from] TextError),
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// It has not the shape, names a placeholder that does not exist, or holds hidden characters.
    pub fn read(text: &str) -> Result<Self, TemplateError> {
        let text = text.replace("\r\n", "\n");
        let (title, body) = text.trim().split_once("\n\n").ok_or(TemplateError::Shape)?;
        if title.contains('\n') || body.trim().is_empty() {
            return Err(TemplateError::Shape);
        }
        Ok(Self { title: pieces(title, false)?, body: pieces(body.trim(), true)? })
    }

    /// The template that the program brings for `audience` in `phase`.
    ///
    /// # Errors
    /// As [`Template::read`]; a test reads all of them.
    pub fn builtin(audience: Audience, phase: Phase) -> Result<Self, TemplateError> {
        Self::read(&texts::text(audience, phase))
    }

    /// What has to be filled in, in order of first use.
    pub fn placeholders(&self) -> Vec<Placeholder> {
        let mut out = Vec::new();
        for it in self.title.iter().chain(&self.body) {
            if let Piece::Hole(it) = it
                && !out.contains(it)
            {
                out.push(*it);
            }
        }
        out
    }
}

fn pieces(text: &str, breaks: bool) -> Result<Vec<Piece>, TemplateError> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        literal(&mut out, before, breaks)?;
        let unclosed = || TemplateError::Unclosed(after.chars().take(20).collect());
        let (name, further) = after.split_once("}}").ok_or_else(unclosed)?;
        if name.contains("{{") || name.contains('\n') {
            return Err(unclosed());
        }
        let hole = Placeholder::named(name.trim());
        out.push(Piece::Hole(hole.ok_or_else(|| TemplateError::Unknown(name.to_owned()))?));
        rest = further;
    }
    literal(&mut out, rest, breaks)?;
    Ok(out)
}

fn literal(out: &mut Vec<Piece>, text: &str, breaks: bool) -> Result<(), TemplateError> {
    if text.contains("}}") {
        return Err(TemplateError::Unclosed(text.chars().take(20).collect()));
    }
    if text.trim().is_empty() {
        if !text.is_empty() {
            out.push(Piece::Text(text.to_owned()));
        }
        return Ok(());
    }
    // Only what the text may hold is looked at; spaces around a placeholder stay.
    let checked =
        if breaks { paragraphs("the template", text) } else { line("the template", text) };
    checked?;
    out.push(Piece::Text(text.to_owned()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Template, TemplateError};
    use crate::{Audience, Phase, Placeholder};

    #[test]
    fn every_template_of_ours_reads() {
        for audience in Audience::ALL {
            for phase in Phase::ALL {
                let it = Template::builtin(audience, phase);
                assert!(it.is_ok(), "{audience:?} {phase:?}: {it:?}");
                let holes = it.map(|it| it.placeholders()).unwrap_or_default();
                assert!(holes.contains(&Placeholder::Protocol), "{audience:?} {phase:?}");
            }
        }
    }

    #[test]
    fn a_template_with_an_unknown_or_open_placeholder_is_refused() {
        let read = |it: &str| Template::read(it).map(|it| it.placeholders());
        assert_eq!(read("a {{protocol}}\n\nb {{ state }}").map(|it| it.len()), Ok(2));
        assert_eq!(read("a\n\nb {{los}}"), Err(TemplateError::Unknown("los".into())));
        assert_eq!(read("a\n\nb {{}}"), Err(TemplateError::Unknown(String::new())));
        assert!(matches!(read("a\n\nb {{loss"), Err(TemplateError::Unclosed(_))));
        assert!(matches!(read("a\n\nb loss}}"), Err(TemplateError::Unclosed(_))));
        assert!(matches!(read("a\n\nb {{a {{loss}}"), Err(TemplateError::Unclosed(_))));
        for it in ["", "a", "a\n\n", "a\nb\n\nc", "a\nb"] {
            assert_eq!(read(it), Err(TemplateError::Shape), "{it:?}");
        }
        assert!(matches!(read("a\u{202e}\n\nb"), Err(TemplateError::Text(_))));
    }
}
