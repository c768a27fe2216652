//! How the cost of a gigabyte grows with visitors and with sessions: measured, and drawn as SVG.

use crate::bulk::{self, Load};
use crate::common::measure::median;
use crate::common::report::figure;
use crate::common::{Res, at};
use crate::handshakes;
use crate::peer::{OverSsh, Way};
use crate::rows::CIPHER;
use crate::runs::{Run, Stage, alternate};
use std::fmt::Write as _;
use std::path::Path;

/// Visitors of one session.
const VISITORS: &[usize] = &[1, 2, 4, 8, 16, 32];
/// Sessions with one visitor each; no more than there are hosts.
const SESSIONS: &[usize] = &[1, 2, 4, handshakes::AT_ONCE];

/// Names and colours of the two lines, sshd's first as everywhere.
const WHO: [(&str, &str); 2] = [("sshd", "#c2410c"), ("portreeve", "#1d4ed8")];

/// One diagram: CPU seconds per GB of both, over how many of something.
pub struct Panel {
    title: String,
    axis: &'static str,
    counts: Vec<usize>,
    /// In the order of [`WHO`], a figure for each count.
    lines: [Vec<f64>; 2],
}

/// Measures all panels.
pub fn measure(stage: &Stage<'_>) -> Res<Vec<Panel>> {
    let mut panels = Vec::new();
    for (axis, counts) in [("visitors of one session", VISITORS), ("sessions with one visitor each", SESSIONS)] {
        for way in [Way::Up, Way::Down] {
            let mut panel =
                Panel { title: way.arrow().to_owned(), axis, counts: counts.to_vec(), lines: [Vec::new(), Vec::new()] };
            for count in counts {
                let (clients, streams) = if axis.starts_with("visitors") { (1, *count) } else { (*count, 1) };
                point(stage, &mut panel, Load { cipher: CIPHER, clients, streams, way })?;
                eprintln!(
                    "{} over {count} {axis}: {:?}",
                    way.arrow(),
                    panel.lines.each_ref().map(|l| l.last().copied())
                );
            }
            panels.push(panel);
        }
    }
    Ok(panels)
}

fn point(stage: &Stage<'_>, panel: &mut Panel, load: Load) -> Res<()> {
    let time = stage.plan.bulk;
    let run = |server| Box::new(move |_| bulk::run(&OverSsh(server), load, time)) as Run<'_, bulk::Speed>;
    // The warm-up is for all points at once: each is one of many like it.
    let results = alternate(stage.plan.rounds.min(3), &[run(stage.sshd), run(stage.ours)]);
    for (line, result) in panel.lines.iter_mut().zip(results) {
        line.push(median(&result?.iter().map(|s| s.cpu_gb).collect::<Vec<_>>()));
    }
    Ok(())
}

/// The same as a table.
pub fn table(panels: &[Panel]) -> String {
    let mut text = String::from("| | | sshd, s/GB | portreeve, s/GB |\n|---|---:|---:|---:|\n");
    for p in panels {
        for (n, count) in p.counts.iter().enumerate() {
            let _ = writeln!(
                text,
                "| {}, {} | {count} | {} | {} |",
                p.title,
                p.axis,
                figure(p.lines[0][n]),
                figure(p.lines[1][n])
            );
        }
    }
    text
}

const PANEL_W: f64 = 380.0;
const PANEL_H: f64 = 250.0;

/// Draws them, two in a row.
pub fn draw(panels: &[Panel], to: &Path) -> Res<()> {
    let rows = panels.len().div_ceil(2);
    let (width, height) = (2.0 * PANEL_W + 20.0, rows as f64 * PANEL_H + 50.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\" role=\"img\">\n\
         <title>CPU seconds of the server for each gigabyte</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"16\" y=\"24\" font-size=\"15\" font-weight=\"bold\">CPU seconds of the server for each gigabyte</text>\n"
    );
    for (n, (name, colour)) in WHO.iter().enumerate() {
        let x = width - 200.0 + n as f64 * 90.0;
        let _ = writeln!(
            svg,
            "<circle cx=\"{x}\" cy=\"20\" r=\"5\" fill=\"{colour}\"/><text x=\"{}\" y=\"24\">{name}</text>",
            x + 10.0
        );
    }
    for (n, panel) in panels.iter().enumerate() {
        let place = ((n % 2) as f64 * PANEL_W, (n / 2) as f64 * PANEL_H + 40.0);
        panel.draw(&mut svg, place);
    }
    svg.push_str("</svg>\n");
    if let Some(folder) = to.parent() {
        std::fs::create_dir_all(folder).map_err(at("folder"))?;
    }
    std::fs::write(to, svg).map_err(at(&to.to_string_lossy()))
}

impl Panel {
    fn draw(&self, svg: &mut String, (left, top): (f64, f64)) {
        let (x0, y0, w, h) = (left + 50.0, top + 30.0, PANEL_W - 75.0, PANEL_H - 85.0);
        let most = self.lines.iter().flatten().copied().fold(0.0, f64::max);
        let step = [0.1, 0.2, 0.25, 0.5, 1.0, 2.0, 5.0].into_iter().find(|s| most / s <= 5.0).unwrap_or(10.0);
        let top_value = (most / step).ceil().max(1.0) * step;
        // Each doubling has the same width.
        let last = self.counts.last().map_or(1.0, |c| *c as f64).log2().max(1.0);
        let x = |count: usize| x0 + (count as f64).log2() / last * w;
        let y = |value: f64| y0 + h - value / top_value * h;
        let _ = writeln!(svg, "<text x=\"{x0}\" y=\"{}\" font-weight=\"bold\">{}</text>", top + 18.0, self.title);
        for n in 0..=(top_value / step).round() as usize {
            let value = n as f64 * step;
            let _ = writeln!(
                svg,
                "<line x1=\"{x0}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#e2e8f0\"/>\
                 <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#475569\">{value:.2}</text>",
                x0 + w,
                x0 - 6.0,
                y(value) + 4.0,
                y = y(value),
            );
        }
        for count in &self.counts {
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\" fill=\"#475569\">{count}</text>",
                x(*count),
                y0 + h + 18.0
            );
        }
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\" fill=\"#475569\">{}</text>",
            x0 + w / 2.0,
            y0 + h + 36.0,
            self.axis
        );
        for ((_, colour), line) in WHO.iter().zip(&self.lines) {
            let points: Vec<_> =
                self.counts.iter().zip(line).map(|(c, v)| format!("{:.1},{:.1}", x(*c), y(*v))).collect();
            let _ = writeln!(
                svg,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
                points.join(" ")
            );
            for (count, value) in self.counts.iter().zip(line) {
                let _ = writeln!(
                    svg,
                    "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.5\" fill=\"{colour}\"/>",
                    x(*count),
                    y(*value)
                );
            }
        }
    }
}
