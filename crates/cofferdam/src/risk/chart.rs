//! Charts as inline SVG. Colours are CSS variables of the page, so light and dark need no second drawing; every shape
//! that carries a number carries it as text or title too, because colour is never the only signal.

use std::fmt::Write;

use super::format::{escape, short};

const WIDTH: f64 = 720.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 40.0;

/// A drawing area with linear axes.
pub(crate) struct Plot {
    x: (f64, f64),
    y: (f64, f64),
    height: f64,
    body: String,
}

/// How a line is drawn.
#[derive(Clone, Copy)]
pub(crate) struct Stroke {
    /// CSS variable of its colour.
    pub(crate) colour: &'static str,
    /// Dashes, empty for none.
    pub(crate) dash: &'static str,
    /// Width in pixels.
    pub(crate) width: f64,
}

impl Plot {
    /// Axes over these ranges; a range without width is widened.
    pub(crate) fn new(x: (f64, f64), y: (f64, f64), height: f64) -> Self {
        let wide = |(a, b): (f64, f64)| if b > a { (a, b) } else { (a - 0.5, a + 0.5) };
        Self { x: wide(x), y: wide(y), height, body: String::new() }
    }

    fn px(&self, x: f64) -> f64 {
        LEFT + (x - self.x.0) / (self.x.1 - self.x.0) * (WIDTH - LEFT - RIGHT)
    }

    fn py(&self, y: f64) -> f64 {
        let share = (y - self.y.0) / (self.y.1 - self.y.0);
        self.height - BOTTOM - share * (self.height - TOP - BOTTOM)
    }

    /// A line through points.
    pub(crate) fn line(&mut self, points: &[(f64, f64)], stroke: Stroke) {
        let path: Vec<String> =
            points.iter().map(|(x, y)| format!("{:.1},{:.1}", self.px(*x), self.py(*y))).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(
            self.body,
            r#"<polyline fill="none" stroke="var({})" stroke-width="{}" stroke-dasharray="{}" points="{}"/>"#,
            stroke.colour,
            stroke.width,
            stroke.dash,
            path.join(" ")
        );
    }

    /// The area between two lines over the same x.
    pub(crate) fn band(&mut self, points: &[(f64, f64, f64)], colour: &str) {
        let low = points.iter().map(|p| (p.0, p.1));
        let high = points.iter().rev().map(|p| (p.0, p.2));
        let path: Vec<String> =
            low.chain(high).map(|(x, y)| format!("{:.1},{:.1}", self.px(x), self.py(y))).collect();
        let _ = writeln!(
            self.body,
            r#"<polygon fill="var({colour})" opacity="0.18" points="{}"/>"#,
            path.join(" ")
        );
    }

    /// A shaded stretch of the x axis with a label.
    pub(crate) fn stretch(&mut self, from: f64, to: f64, label: &str, colour: &str) {
        let (a, b) = (self.px(from), self.px(to));
        let _ = writeln!(
            self.body,
            r#"<rect x="{a:.1}" y="{TOP}" width="{:.1}" height="{:.1}" fill="var({colour})" opacity="0.14"/>
<text x="{:.1}" y="{:.1}" text-anchor="middle" class="note">{}</text>"#,
            (b - a).max(2.0),
            self.height - TOP - BOTTOM,
            (a + b) / 2.0,
            self.height - BOTTOM - 8.0,
            escape(label)
        );
    }

    /// A vertical mark with a label.
    pub(crate) fn mark(&mut self, x: f64, label: &str, colour: &str) {
        let at = self.px(x);
        let anchor = if at > WIDTH * 0.75 { "end" } else { "start" };
        let _ = writeln!(
            self.body,
            r#"<line x1="{at:.1}" x2="{at:.1}" y1="{TOP}" y2="{:.1}" stroke="var({colour})" stroke-width="1.5" stroke-dasharray="4 3"/>
<text x="{:.1}" y="{:.1}" text-anchor="{anchor}" class="note">{}</text>"#,
            self.height - BOTTOM,
            at + if anchor == "end" { -5.0 } else { 5.0 },
            TOP + 26.0,
            escape(label)
        );
    }

    /// A dot with a title.
    pub(crate) fn dot(&mut self, x: f64, y: f64, title: &str, colour: &str) {
        let _ = writeln!(
            self.body,
            r#"<circle cx="{:.1}" cy="{:.1}" r="3.5" fill="var({colour})"><title>{}</title></circle>"#,
            self.px(x),
            self.py(y),
            escape(title)
        );
    }

    /// A bar from zero.
    pub(crate) fn bar(&mut self, from: f64, to: f64, y: f64, title: &str, colour: &str) {
        let (a, b) = (self.px(from), self.px(to));
        let (top, zero) = (self.py(y), self.py(0.0));
        let _ = writeln!(
            self.body,
            r#"<rect x="{:.1}" y="{top:.1}" width="{:.1}" height="{:.1}" fill="var({colour})"><title>{}</title></rect>"#,
            a + 0.5,
            (b - a - 1.0).max(0.5),
            (zero - top).max(0.0),
            escape(title)
        );
    }

    /// The finished chart with five ticks on each axis.
    pub(crate) fn finish(
        self,
        title: &str,
        x_label: &str,
        x_tick: &dyn Fn(f64) -> String,
        y_tick: &dyn Fn(f64) -> String,
    ) -> String {
        let mut axes = String::new();
        for i in 0..=4 {
            let share = f64::from(i) / 4.0;
            let (x, y) = (
                self.x.0 + share * (self.x.1 - self.x.0),
                self.y.0 + share * (self.y.1 - self.y.0),
            );
            let anchor = match i {
                0 => "start",
                4 => "end",
                _ => "middle",
            };
            let _ = writeln!(
                axes,
                r#"<line x1="{LEFT}" x2="{:.1}" y1="{py:.1}" y2="{py:.1}" class="grid"/>
<text x="{:.1}" y="{:.1}" text-anchor="end">{}</text>
<text x="{:.1}" y="{:.1}" text-anchor="{anchor}">{}</text>"#,
                WIDTH - RIGHT,
                LEFT - 6.0,
                self.py(y) + 4.0,
                escape(&y_tick(y)),
                self.px(x),
                self.height - BOTTOM + 16.0,
                escape(&x_tick(x)),
                py = self.py(y),
            );
        }
        let _ = writeln!(
            axes,
            r#"<text x="{:.1}" y="{:.1}" text-anchor="middle" class="axis">{}</text>"#,
            (LEFT + WIDTH - RIGHT) / 2.0,
            self.height - 6.0,
            escape(x_label)
        );
        wrap(title, self.height, &format!("{axes}{}", self.body))
    }
}

fn wrap(title: &str, height: f64, body: &str) -> String {
    format!(
        r#"<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{t}"><title>{t}</title>
{body}</svg>
"#,
        t = escape(title)
    )
}

/// A table of coloured cells: `value` decides the colour, `text` is written into the cell.
pub(crate) struct HeatCell {
    /// Column, from zero.
    pub(super) column: usize,
    /// Row, from zero.
    pub(super) row: usize,
    /// Below zero is bad.
    pub(super) value: f64,
    /// What is written.
    pub(super) text: String,
    /// What is said on hovering.
    pub(super) title: String,
}

/// A heat map with labels on both sides.
pub(crate) fn heat_map(
    title: &str,
    columns: &[String],
    rows: &[String],
    cells: &[HeatCell],
) -> String {
    let (left, top, cell_height) = (86.0, 26.0, 34.0);
    let cell_width = (WIDTH - left - 4.0) / columns.len().max(1) as f64;
    let height = top + cell_height * rows.len() as f64 + 8.0;
    let scale = cells.iter().map(|c| c.value.abs()).fold(f64::MIN_POSITIVE, f64::max);
    let mut body = String::new();
    for (i, c) in columns.iter().enumerate() {
        let x = left + (i as f64 + 0.5) * cell_width;
        let _ =
            writeln!(body, r#"<text x="{x:.1}" y="17" text-anchor="middle">{}</text>"#, escape(c));
    }
    for (i, r) in rows.iter().enumerate() {
        let y = top + (i as f64 + 0.5) * cell_height + 4.0;
        let _ = writeln!(
            body,
            r#"<text x="{:.1}" y="{y:.1}" text-anchor="end">{}</text>"#,
            left - 8.0,
            escape(r)
        );
    }
    for c in cells {
        let (x, y) = (left + c.column as f64 * cell_width, top + c.row as f64 * cell_height);
        let colour = if c.value < 0.0 { "--bad" } else { "--good" };
        // Square root, so that small losses are still seen beside large ones.
        let strength = (c.value.abs() / scale).sqrt() * 0.7;
        let _ = writeln!(
            body,
            r#"<g><title>{}</title><rect x="{:.1}" y="{:.1}" width="{:.1}" height="{:.1}" rx="2" fill="var({colour})" fill-opacity="{strength:.3}" class="cell"/><text x="{:.1}" y="{:.1}" text-anchor="middle" class="value">{}</text></g>"#,
            escape(&c.title),
            x + 1.0,
            y + 1.0,
            cell_width - 2.0,
            cell_height - 2.0,
            x + cell_width / 2.0,
            y + cell_height / 2.0 + 4.0,
            escape(&c.text)
        );
    }
    wrap(title, height, &body)
}

/// A node of a graph.
pub(crate) struct GraphNode {
    /// Its name.
    pub(super) name: String,
    /// Its size decides the circle.
    pub(super) value: f64,
    /// Share lost, 0 to 1.
    pub(super) distress: f64,
}

/// A directed edge: from, to, weight 0 to 1, and what is written at it.
pub(super) type GraphEdge = (usize, usize, f64, String);

/// Nodes on a circle, edges as arrows.
pub(crate) fn graph(title: &str, nodes: &[GraphNode], edges: &[GraphEdge]) -> String {
    let (height, radius) = (430.0, 150.0);
    let centre = (WIDTH / 2.0, height / 2.0);
    let at = |i: usize| {
        let turn = std::f64::consts::TAU * i as f64 / nodes.len().max(1) as f64 - 1.57;
        (centre.0 + 1.6 * radius * turn.cos(), centre.1 + radius * turn.sin())
    };
    let largest = nodes.iter().map(|n| n.value).fold(f64::MIN_POSITIVE, f64::max);
    let size = |n: &GraphNode| 9.0 + 17.0 * (n.value.max(0.0) / largest).sqrt();
    let mut body = String::from(
        r#"<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto" markerUnits="userSpaceOnUse"><path d="M0,0 L8,4 L0,8 z" fill="var(--muted)"/></marker></defs>
"#,
    );
    for (from, to, weight, label) in edges {
        let (a, b) = (at(*from), at(*to));
        let length = ((b.0 - a.0).powi(2) + (b.1 - a.1).powi(2)).sqrt().max(1.0);
        let unit = ((b.0 - a.0) / length, (b.1 - a.1) / length);
        let (start, end) = (size(&nodes[*from]) + 2.0, size(&nodes[*to]) + 3.0);
        // Bent to its right, so that a pair of opposite edges does not coincide.
        let middle = (
            (a.0 + b.0) / 2.0 - unit.1 * length * 0.12,
            (a.1 + b.1) / 2.0 + unit.0 * length * 0.12,
        );
        let _ = writeln!(
            body,
            r#"<path d="M{:.1},{:.1} Q{:.1},{:.1} {:.1},{:.1}" fill="none" stroke="var(--muted)" stroke-width="{:.1}" marker-end="url(#tip)"><title>{}</title></path>
<text x="{:.1}" y="{:.1}" text-anchor="middle" class="note">{}</text>"#,
            a.0 + unit.0 * start,
            a.1 + unit.1 * start,
            middle.0,
            middle.1,
            b.0 - unit.0 * end,
            b.1 - unit.1 * end,
            1.0 + 3.0 * weight.clamp(0.0, 1.0),
            escape(label),
            0.25 * a.0 + 0.25 * b.0 + 0.5 * middle.0,
            0.25 * a.1 + 0.25 * b.1 + 0.5 * middle.1,
            escape(label)
        );
    }
    for (i, n) in nodes.iter().enumerate() {
        let (x, y) = at(i);
        let r = size(n);
        // A caption below its node, except in the upper half, where it stands above.
        let caption = if y < centre.1 - 1.0 { y - r - 18.0 } else { y + r + 14.0 };
        let _ = writeln!(
            body,
            r#"<circle cx="{x:.1}" cy="{y:.1}" r="{r:.1}" fill="var(--panel)" stroke="var(--ink)"/><circle cx="{x:.1}" cy="{y:.1}" r="{r:.1}" fill="var(--bad)" fill-opacity="{:.3}"/>
<text x="{x:.1}" y="{caption:.1}" text-anchor="middle" class="value">{}</text><text x="{x:.1}" y="{:.1}" text-anchor="middle" class="note">{} · {:.0} % lost</text>"#,
            n.distress.clamp(0.0, 1.0) * 0.85,
            escape(&n.name),
            caption + 13.0,
            short(n.value),
            100.0 * n.distress
        );
    }
    wrap(title, height, &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charts_are_well_formed_and_escape_what_they_are_given() {
        let mut p = Plot::new((0.0, 0.0), (1.0, 1.0), 200.0);
        p.line(&[(0.0, 1.0)], Stroke { colour: "--a", dash: "", width: 1.0 });
        p.mark(0.0, "<b>", "--a");
        let text = p.finish("a & b", "x", &|x| x.to_string(), &|y| y.to_string());
        assert!(text.contains("a &amp; b") && text.contains("&lt;b&gt;") && !text.contains("NaN"));
        let nodes = [GraphNode { name: "<x>".into(), value: 0.0, distress: 2.0 }];
        let text = graph("g", &nodes, &[(0, 0, 0.5, "\"".into())]);
        assert!(text.contains("&lt;x&gt;") && !text.contains("NaN") && !text.contains("inf"));
        let cell =
            HeatCell { column: 0, row: 0, value: 0.0, text: "0".into(), title: String::new() };
        assert!(!heat_map("h", &["a".into()], &["b".into()], &[cell]).contains("NaN"));
    }
}
