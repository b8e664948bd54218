//! Comma-separated text (RFC 4180) with a header line, columns by name.

use super::BookError;

/// Most columns.
const COLUMNS_MAX: usize = 256;
/// Most lines.
const LINES_MAX: usize = 2_000_000;

/// A parsed table.
pub(super) struct Table {
    header: Vec<String>,
    lines: Vec<(usize, Vec<String>)>,
}

/// One line of it.
pub(super) struct Row<'a> {
    header: &'a [String],
    line: usize,
    cells: &'a [String],
}

impl Table {
    pub(super) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.lines.iter().map(|(line, cells)| Row { header: &self.header, line: *line, cells })
    }
}

/// Splits the text.
pub(super) fn parse(text: &str) -> Result<Table, BookError> {
    let mut lines = split(text)?;
    if lines.is_empty() {
        return Err(BookError::Text { line: 1, why: "there is no header line".to_owned() });
    }
    let (_, header) = lines.remove(0);
    let clean = |h: &String| h.trim().trim_start_matches('\u{feff}').to_ascii_lowercase();
    let header: Vec<String> = header.iter().map(clean).collect();
    for (i, name) in header.iter().enumerate() {
        if !name.is_empty() && header[..i].contains(name) {
            let why = format!("the column {name} appears twice");
            return Err(BookError::Text { line: 1, why });
        }
    }
    for (line, cells) in &lines {
        if cells.len() != header.len() {
            let why = format!("{} fields where the header has {}", cells.len(), header.len());
            return Err(BookError::Text { line: *line, why });
        }
    }
    Ok(Table { header, lines })
}

/// Lines of fields with their line numbers; empty lines are left out.
fn split(text: &str) -> Result<Vec<(usize, Vec<String>)>, BookError> {
    let wrong = |line, why: &str| Err(BookError::Text { line, why: why.to_owned() });
    let mut out = Vec::new();
    let (mut cells, mut cell) = (Vec::new(), String::new());
    let (mut quoted, mut was_quoted) = (false, false);
    let (mut line, mut start) = (1, 1);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            '"' if quoted => quoted = false,
            '"' if cell.is_empty() && !was_quoted => (quoted, was_quoted) = (true, true),
            '"' => return wrong(line, "a quote inside a field"),
            ',' if !quoted => {
                cells.push(std::mem::take(&mut cell));
                was_quoted = false;
                if cells.len() > COLUMNS_MAX {
                    return wrong(line, "more than 256 columns");
                }
            }
            '\r' if !quoted => {}
            '\n' if !quoted => {
                cells.push(std::mem::take(&mut cell));
                let done = std::mem::take(&mut cells);
                if done.len() > 1 || !done[0].trim().is_empty() {
                    out.push((start, done));
                }
                if out.len() > LINES_MAX {
                    return wrong(line, "more than two million lines");
                }
                line += 1;
                (start, was_quoted) = (line, false);
            }
            c => {
                line += usize::from(c == '\n');
                cell.push(c);
            }
        }
    }
    if quoted {
        return wrong(start, "a quote is not closed");
    }
    if !cell.is_empty() || !cells.is_empty() {
        cells.push(cell);
        out.push((start, cells));
    }
    Ok(out)
}

impl Row<'_> {
    /// The first of these columns that has something in it, by name and text.
    fn cell(&self, names: &[&str]) -> Option<(&str, &str)> {
        names.iter().find_map(|name| {
            let at = self.header.iter().position(|h| h == name)?;
            let text = self.cells.get(at)?.trim();
            (!text.is_empty()).then(|| (self.header[at].as_str(), text))
        })
    }

    pub(super) fn text(&self, names: &[&str]) -> Option<&str> {
        self.cell(names).map(|c| c.1)
    }

    pub(super) fn number(&self, names: &[&str]) -> Result<Option<f64>, BookError> {
        let Some((column, text)) = self.cell(names) else { return Ok(None) };
        match text.parse::<f64>() {
            Ok(x) if x.is_finite() => Ok(Some(x)),
            _ => Err(self.wrong(column, &format!("{text} is not a finite number"))),
        }
    }

    pub(super) fn positive(&self, names: &[&str]) -> Result<Option<f64>, BookError> {
        self.bounded(names, |x| x > 0.0, "must be above zero")
    }

    pub(super) fn non_negative(&self, names: &[&str]) -> Result<Option<f64>, BookError> {
        self.bounded(names, |x| x >= 0.0, "must not be negative")
    }

    fn bounded(
        &self,
        names: &[&str],
        good: impl Fn(f64) -> bool,
        why: &str,
    ) -> Result<Option<f64>, BookError> {
        match self.number(names)? {
            Some(x) if !good(x) => {
                let column = self.cell(names).map_or(names[0], |c| c.0);
                Err(self.wrong(column, why))
            }
            found => Ok(found),
        }
    }

    pub(super) fn missing(&self, column: &str) -> BookError {
        self.wrong(column, "is missing")
    }

    pub(super) fn wrong(&self, column: &str, why: &str) -> BookError {
        BookError::Cell { line: self.line, column: column.to_owned(), why: why.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_commas_and_line_ends_follow_the_standard() {
        let t = parse("a,b\r\n\"x, \"\"y\"\"\nz\",2\n\n3,4").unwrap();
        assert_eq!(t.lines[0], (2, vec!["x, \"y\"\nz".to_owned(), "2".to_owned()]));
        assert_eq!(t.lines[1], (5, vec!["3".to_owned(), "4".to_owned()]));
        for bad in ["", "a,a\n1,2", "a,b\n1", "a\n\"1", "a\nx\"y"] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
