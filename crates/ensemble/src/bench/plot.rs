//! Latency over time as a picture, in colours that can be read on a light page and on a dark one.

use std::time::Duration;

use anyhow::anyhow;
use plotters::prelude::*;

use super::samples::{Latency, Sample, over_time};

const SIZE: (u32, u32) = (860, 360);
const STRETCH: Duration = Duration::from_millis(250);
/// Words and axes: as far from white as from black.
const INK: RGBColor = RGBColor(125, 125, 125);
const TYPEFACE: &str = "system-ui, sans-serif";

type Percentile = (&'static str, RGBColor, fn(&Latency) -> f64);

const PERCENTILES: [Percentile; 2] =
    [("p50", RGBColor(56, 139, 253), |latency| latency.p50_ms), ("p99", RGBColor(219, 109, 40), |latency| latency.p99_ms)];

/// An SVG: p50 and p99 of the orders that were confirmed in each quarter of a second, on a scale of powers of ten.
pub(super) fn draw(samples: &[Sample]) -> anyhow::Result<String> {
    let stretches = over_time(samples, STRETCH)?;
    let end = stretches.last().map_or(STRETCH, |last| last.from).as_secs_f64();
    let highest = stretches.iter().filter_map(|stretch| Some(stretch.latency?.p99_ms)).fold(10.0, f64::max);
    let mut svg = String::new();
    {
        let page = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        let words = (TYPEFACE, 14).into_font().color(&INK);
        let mut chart = ChartBuilder::on(&page)
            .margin(16)
            .caption("Request to confirmed, open loop", (TYPEFACE, 16).into_font().color(&INK))
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d(0.0..end, (1.0..highest * 1.5).log_scale())?;
        let mesh = &mut chart.configure_mesh();
        mesh.x_desc("seconds").y_desc("milliseconds").label_style(words.clone()).axis_desc_style(words.clone());
        mesh.axis_style(INK).bold_line_style(INK.mix(0.25)).light_line_style(TRANSPARENT).draw()?;
        for (name, color, of) in PERCENTILES {
            let points = stretches.iter().filter_map(|stretch| Some((stretch.from.as_secs_f64(), of(&stretch.latency?))));
            let line = chart.draw_series(LineSeries::new(points, color.stroke_width(2)))?;
            line.label(name).legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], color.stroke_width(2)));
        }
        chart.configure_series_labels().border_style(TRANSPARENT).label_font(words).draw()?;
        page.present().map_err(|error| anyhow!("could not draw: {error}"))?;
    }
    Ok(svg)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_both_lines_and_no_ground_of_its_own() {
        let sample = |n: u64| Sample { at: Duration::from_millis(n * 10), took: Duration::from_millis(5 + n % 7) };
        let svg = draw(&(0..500).map(sample).collect::<Vec<_>>()).expect("it is drawn");
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{svg}");
        assert!(svg.contains("p50") && svg.contains("p99") && svg.contains("#388BFD") && svg.contains("#DB6D28"), "{svg}");
        assert!(!svg.contains("#FFFFFF"), "a white ground hides the words on a dark page");
    }

    #[test]
    fn nothing_seen_is_an_empty_picture() {
        assert!(draw(&[]).expect("it is drawn").contains("milliseconds"));
    }
}
