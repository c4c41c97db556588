namespace NanoLora.Experiments;

// The report's style sheet. Colours are those of Okabe and Ito, which keep apart for colour-blind readers, darkened or lightened to stay legible as text;
// shape (filled or hollow) and words always say the same as the colour.
internal static class ReportStyle
{
    public const string Css = """
        :root {
          --paper: #fffff8; --ink: #1b1b18; --soft: #6a6a62; --rule: #d8d8cc; --grid: #ecece0;
          --blue: #0067a8; --orange: #b84a00; --grey: #74746c; --heat-blue: #5aa5d6; --heat-orange: #ee9a5c;
        }
        @media (prefers-color-scheme: dark) {
          :root {
            --paper: #161615; --ink: #e6e5dc; --soft: #a09f94; --rule: #3b3b37; --grid: #292926;
            --blue: #66b8ee; --orange: #f0944d; --grey: #8f8e85; --heat-blue: #1e6fa6; --heat-orange: #a8541a;
          }
        }
        * { box-sizing: border-box; }
        html { background: var(--paper); color: var(--ink); -webkit-text-size-adjust: 100%; }
        body { margin: 0; font: 17px/1.5 "Iowan Old Style", "Palatino Linotype", Palatino, "Book Antiqua", Georgia, "DejaVu Serif", serif; }
        main { max-width: 908px; margin: 0 auto; padding: 56px 24px 72px; }
        h1 { font-size: 34px; line-height: 1.2; font-weight: 400; margin: 0 0 18px; text-wrap: balance; }
        h2 { font-size: 21px; font-weight: 400; font-style: italic; margin: 52px 0 12px; }
        p { max-width: 46em; margin: 0 0 12px; }
        .conclusion { font-size: 19px; line-height: 1.5; max-width: none; }
        .note, figcaption { color: var(--soft); font-size: 14.5px; line-height: 1.45; max-width: 52em; }
        .note { margin-top: 10px; }
        table { border-collapse: collapse; font-size: 15px; font-variant-numeric: tabular-nums lining-nums; }
        .summary { width: 100%; }
        th, td { padding: 3px 0 3px 22px; text-align: right; font-weight: 400; white-space: nowrap; }
        th:first-child, .text { text-align: left; }
        th:first-child { padding-left: 0; }
        thead th { color: var(--soft); font-size: 13.5px; border-bottom: 1px solid var(--rule); vertical-align: bottom; }
        .matrix { width: 100%; }
        .dense { font-size: 14px; }
        .dense th, .dense td { padding-left: 12px; }
        .dense th:first-child { padding-left: 0; }
        .dense thead th { white-space: normal; }
        .matrix thead th + th { white-space: normal; max-width: 9em; }
        .group th { padding-top: 14px; font-style: italic; }
        .star { display: inline-block; width: .6em; text-align: left; }
        .wide { overflow-x: auto; margin-bottom: 18px; }
        figure { margin: 0 0 12px; overflow-x: auto; }
        figcaption { margin-top: 10px; }
        figcaption.above { margin: 18px 0 2px; font-style: italic; color: var(--ink); font-size: 16px; }
        svg { display: block; width: 100%; min-width: 640px; height: auto; font-size: 14px; font-variant-numeric: tabular-nums lining-nums; }
        svg[width] { width: auto; min-width: 0; }
        svg text { fill: var(--ink); }
        svg .head { font-style: italic; font-size: 15px; }
        svg .tick { fill: var(--soft); font-size: 12.5px; }
        svg .cell { font-size: 11.5px; text-anchor: middle; }
        .multiples { display: grid; grid-template-columns: repeat(auto-fill, minmax(190px, 1fr)); gap: 14px 10px; margin-bottom: 12px; }
        .multiples figure { margin: 0; overflow: visible; }
        .multiples figcaption { margin: 0 0 2px; color: var(--ink); font-size: 14px; }
        .multiples svg { min-width: 0; }
        .line { fill: none; stroke: var(--ink); stroke-width: 1.6; }
        .band { fill: var(--ink); fill-opacity: .12; }
        polyline.reference { fill: none; }
        .composed .line { stroke: var(--blue); }
        .composed .band { fill: var(--blue); fill-opacity: .18; }
        .control .line { stroke: var(--grey); }
        .missing { border-left: 3px solid var(--orange); padding-left: 14px; margin-top: 16px; }
        .missing ul { padding-left: 20px; font-size: 14.5px; }
        a { color: var(--blue); }
        h3 { font-size: 17px; font-weight: 400; font-style: italic; margin: 24px 0 8px; }
        .grid { stroke: var(--grid); }
        .reference { stroke: var(--soft); stroke-dasharray: 4 3; }
        .raw { stroke: var(--grey); stroke-opacity: .45; }
        .whisker { stroke-width: 2; stroke: var(--ink); }
        .dot { fill: var(--ink); stroke: var(--ink); stroke-width: 1.8; }
        .composed .dot, .composed .whisker, .better .dot, .better .whisker { fill: var(--blue); stroke: var(--blue); }
        .worse .dot, .worse .whisker { fill: var(--orange); stroke: var(--orange); }
        .control .dot, .control .whisker { fill: var(--grey); stroke: var(--grey); }
        .unclear .dot { fill: var(--paper); stroke: var(--grey); }
        .unclear .whisker { stroke: var(--grey); }
        td.better, span.better, span.composed, svg .better .value, svg .composed .value { color: var(--blue); fill: var(--blue); }
        td.worse, span.worse, svg .worse .value { color: var(--orange); fill: var(--orange); }
        span.control, span.unclear { color: var(--soft); }
        .above { fill: var(--heat-blue); }
        .below { fill: var(--heat-orange); }
        .mark { stroke: var(--ink); }
        .legend { margin: 14px 0 0 -20px; }
        dl { margin: 0; font-size: 15px; }
        dl div { display: grid; grid-template-columns: 190px 1fr; gap: 20px; padding: 4px 0; border-top: 1px solid var(--grid); }
        dt { color: var(--soft); }
        dd { margin: 0; overflow-wrap: anywhere; }
        details { margin: 8px 0; }
        summary { cursor: pointer; }
        @media (max-width: 600px) {
          body { font-size: 16px; }
          main { padding-top: 32px; }
          dl div { grid-template-columns: 1fr; gap: 0; }
          .summary tbody th, .matrix tbody th { white-space: normal; min-width: 8.5em; }
        }
        @media print {
          :root {
            --paper: #fff; --ink: #000; --soft: #444; --rule: #999; --grid: #ddd;
            --blue: #0067a8; --orange: #b84a00; --grey: #666; --heat-blue: #5aa5d6; --heat-orange: #ee9a5c;
          }
          html { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
          body { font-size: 11pt; }
          main { max-width: none; padding: 0; }
          h2 { break-after: avoid; }
          figure, tr, dl div { break-inside: avoid; }
        }
        """;
}
