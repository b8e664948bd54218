//! Numbers as a tired person reads them, always with their unit.

/// `1.9M`, `-48k`, `0.82`: three significant digits.
pub(crate) fn short(x: f64) -> String {
    let size = x.abs();
    let (value, unit) = match size {
        s if !s.is_finite() => return "–".to_owned(),
        s if s >= 0.9995e12 => (x / 1e12, "T"),
        s if s >= 0.9995e9 => (x / 1e9, "B"),
        s if s >= 0.9995e6 => (x / 1e6, "M"),
        s if s >= 0.9995e3 => (x / 1e3, "k"),
        _ => (x, ""),
    };
    let digits = match value.abs() {
        v if v >= 100.0 || v == 0.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 0.01 => 2,
        _ => 5,
    };
    format!("{value:.digits$}{unit}")
}

/// `$1.9M`, `-$48k`.
pub(crate) fn usd(x: f64) -> String {
    if x < 0.0 { format!("-${}", short(-x)) } else { format!("${}", short(x)) }
}

/// A share as per cent, two significant digits below one.
pub(crate) fn percent(p: f64) -> String {
    let v = 100.0 * p;
    match v.abs() {
        s if s == 0.0 || s >= 10.0 => format!("{v:.1} %"),
        s if s >= 0.1 => format!("{v:.2} %"),
        s if s >= 1e-3 => format!("{v:.4} %"),
        _ => format!("{v:.1e} %"),
    }
}

/// Text inside HTML and SVG.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// Columns with two spaces between them, the first to the left, the rest to the right.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = header.iter().map(|h| h.chars().count()).collect();
    for row in rows {
        for (w, cell) in widths.iter_mut().zip(row) {
            *w = (*w).max(cell.chars().count());
        }
    }
    let line = |cells: Vec<&str>| {
        let padded = cells.iter().zip(&widths).enumerate().map(|(i, (cell, width))| {
            let space = " ".repeat(width - cell.chars().count().min(*width));
            if i == 0 { format!("{cell}{space}") } else { format!("{space}{cell}") }
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    let mut out = line(header.to_vec());
    for row in rows {
        out.push_str(&line(row.iter().map(String::as_str).collect()));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_three_digits_and_their_sign() {
        let all = [0.0, 1.0, 12.345, 999.6, 48_000.0, -1_900_000.0, 2.5e9, 0.000_42, f64::NAN];
        let texts: Vec<_> = all.iter().map(|x| short(*x)).collect();
        assert_eq!(
            texts,
            ["0", "1.00", "12.3", "1.00k", "48.0k", "-1.90M", "2.50B", "0.00042", "–"]
        );
        assert_eq!(
            (usd(-48_000.0), percent(0.031), percent(1.6e-8)),
            ("-$48.0k".into(), "3.10 %".into(), "1.6e-6 %".into())
        );
        assert_eq!(table(&["a", "b"], &[vec!["xx".into(), "1".into()]]), "a   b\nxx  1\n");
    }
}
