//! The figures as a picture: throughput beside pgbench and the bare server, and what one costs as the table grows.

use std::fmt::Write as _;

use crate::report::{Curve, Report, Row, short};

const WIDTH: f64 = 860.0;
/// Where the bars begin, and how long they may get.
const LEFT: f64 = 150.0;
const SPAN: f64 = 600.0;
const BAR: f64 = 18.0;
const STYLE: &str = "
text { font: 13px system-ui, sans-serif; fill: #1f2933 }
.title { font-weight: 600; font-size: 15px } .small { font-size: 11px; fill: #52606d }
.limit { fill: #3d6fb6 } .bare { fill: #e08a3c } line { stroke: #9aa5b1 } .one { stroke: #1f2933; stroke-dasharray: 4 3 }
polyline { fill: none; stroke-width: 2 } .c0 { stroke: #3d6fb6; fill: #3d6fb6 } .c1 { stroke: #e08a3c; fill: #e08a3c }
.c2 { stroke: #3f9b6d; fill: #3f9b6d } .c3 { stroke: #a05195; fill: #a05195 } polyline.c0, polyline.c1, polyline.c2, polyline.c3 { fill: none }
";

pub fn svg(report: &Report) -> String {
    let mut body = String::new();
    let mut y = bars(&mut body, &report.rows);
    let costs: Vec<&Curve> = report.curves.iter().filter(|curve| !curve.beside.is_empty()).collect();
    if !costs.is_empty() {
        y = lines(&mut body, &costs, y + 30.0);
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-label=\"Throughput beside pgbench and the bare server\">\n<style>{STYLE}</style>\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>\n{body}</svg>\n",
        height = y + 20.0
    )
}

/// For each row a bar for each of its references; returns where it ends.
fn bars(into: &mut String, rows: &[Row]) -> f64 {
    let rows: Vec<&Row> =
        rows.iter().filter(|row| row.unit == "/s" && (row.limit.is_some() || row.bare.is_some())).collect();
    let ratios = rows.iter().flat_map(|row| [row.of_limit, row.of_bare]).flatten();
    let most = ratios.fold(1.0, f64::max);
    let x = |ratio: f64| LEFT + SPAN * ratio / most;
    text(into, 20.0, 30.0, "title", "Throughput of the gateway, as a multiple of");
    for (n, (class, name)) in
        [("limit", "pgbench with one ideal statement"), ("bare", "the bare server")].into_iter().enumerate()
    {
        let left = LEFT + 260.0 * f64::from(u8::try_from(n).unwrap());
        writeln!(into, "<rect class=\"{class}\" x=\"{left}\" y=\"43\" width=\"12\" height=\"12\"/>").unwrap();
        text(into, left + 18.0, 54.0, "", name);
    }
    let mut y = 76.0;
    for row in rows {
        text(into, 20.0, y + BAR, "", &row.name);
        text(into, 20.0, y + BAR + 15.0, "small", &format!("{} {}", short(row.figure), row.unit));
        for (class, ratio) in [("limit", row.of_limit), ("bare", row.of_bare)] {
            if let Some(ratio) = ratio {
                let width = x(ratio) - LEFT;
                writeln!(
                    into,
                    "<rect class=\"{class}\" x=\"{LEFT}\" y=\"{y}\" width=\"{width:.1}\" height=\"{BAR}\"/>"
                )
                .unwrap();
                text(into, x(ratio) + 6.0, y + BAR - 4.0, "", &format!("{} ×", short(ratio)));
            }
            y += BAR + 2.0;
        }
        y += 14.0;
    }
    writeln!(into, "<line class=\"one\" x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"70\" y2=\"{y}\"/>", x(1.0)).unwrap();
    text(into, x(1.0) - 4.0, y + 14.0, "small", "1");
    y + 14.0
}

/// What one costs as the table grows.
fn lines(into: &mut String, curves: &[&Curve], top: f64) -> f64 {
    let (height, bottom) = (160.0, top + 190.0);
    let most = curves.iter().flat_map(|curve| curve.costs()).fold(1.5, f64::max);
    let y = |cost: f64| bottom - height * cost / most;
    text(into, 20.0, top, "title", "Cost of one as the table grows (small table = 1)");
    for level in [0.0, 1.0, 1.15] {
        let class = if level > 0.0 { "one" } else { "" };
        writeln!(
            into,
            "<line class=\"{class}\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>",
            LEFT + SPAN,
            y = y(level)
        )
        .unwrap();
        text(into, LEFT - 34.0, y(level) + 4.0, "small", &format!("{level}"));
    }
    for (n, curve) in curves.iter().enumerate() {
        let count = u32::try_from(curve.points.len()).unwrap();
        let x = |at: u32| LEFT + 30.0 + (SPAN - 60.0) * f64::from(at) / f64::from((count - 1).max(1));
        let places: Vec<(f64, f64)> = (0..count).map(x).zip(curve.costs().map(y)).collect();
        let path: Vec<_> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        writeln!(into, "<polyline class=\"c{n}\" points=\"{}\"/>", path.join(" ")).unwrap();
        for (x, y) in &places {
            writeln!(into, "<circle class=\"c{n}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"/>").unwrap();
        }
        if n == 0 {
            for ((size, _), (x, _)) in curve.points.iter().zip(&places) {
                text(into, x - 20.0, bottom + 16.0, "small", size);
            }
        }
        let left = LEFT + 120.0 * f64::from(u8::try_from(n).unwrap());
        writeln!(into, "<rect class=\"c{n}\" x=\"{left}\" y=\"{}\" width=\"12\" height=\"12\"/>", bottom + 30.0)
            .unwrap();
        text(into, left + 18.0, bottom + 41.0, "", &curve.name);
    }
    bottom + 45.0
}

fn text(into: &mut String, x: f64, y: f64, class: &str, words: &str) {
    writeln!(into, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{words}</text>").unwrap();
}
