"""How the page looks: both themes from one set of names, narrow screens first."""

STYLE = """
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --ink: #1a1d23; --soft: #5b6472;
  --line: #dfe3e9; --code: #f1f3f6; --link: #1f5fbf; --warn-tile: #dd9f0f;
  --pass: #1a7f37; --pass-bg: #dff3e4; --fail: #b42318; --fail-bg: #fde3e0; --warn: #8a5a00; --warn-bg: #fdf0cf;
  --note: #1f5fbf; --note-bg: #e0ebfb; --none: #667080; --none-bg: #eceff3; --ignored: #6b3fa0; --ignored-bg: #eee5f8;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0f1217; --card: #181c23; --ink: #e6e9ee; --soft: #9aa4b2;
    --line: #2b313b; --code: #10141a; --link: #7db0ff; --warn-tile: #f0bf5a;
    --pass: #5bd084; --pass-bg: #12301d; --fail: #ff8f85; --fail-bg: #43191a; --warn: #f0bf5a; --warn-bg: #3a2c0b;
    --note: #7db0ff; --note-bg: #15294a; --none: #93a0b0; --none-bg: #232932;
    --ignored: #c4a2f2; --ignored-bg: #2d2140;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-padding-top: 3rem; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", sans-serif;
}
main, header, footer { max-width: 68rem; margin: 0 auto; padding: 0 1rem; }
header { padding-top: 1.5rem; }
h1 {
  font-size: 1.35rem; line-height: 1.25; margin: 0; display: flex; flex-wrap: wrap; gap: .5rem .75rem;
  align-items: center;
}
h2 { font-size: 1.1rem; margin: 2.25rem 0 .75rem; }
h3 { font-size: 1rem; line-height: 1.35; margin: .5rem 0 .25rem; }
p { margin: .25rem 0; }
a { color: var(--link); text-underline-offset: .15em; }
code, pre, .mono {
  font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: .86em;
}
.soft { color: var(--soft); font-size: .875rem; }
.hide { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.card {
  background: var(--card); border: 1px solid var(--line); border-radius: .75rem; padding: 1rem;
  overflow-wrap: anywhere;
}
.badge {
  display: inline-block; border-radius: 1rem; padding: .1rem .65rem; font-size: .8125rem; font-weight: 600;
  line-height: 1.5; white-space: nowrap;
}
.pass { color: var(--pass); background: var(--pass-bg); }
.fail, .error { color: var(--fail); background: var(--fail-bg); }
.warning, .broken { color: var(--warn); background: var(--warn-bg); }
.note { color: var(--note); background: var(--note-bg); }
.none { color: var(--none); background: var(--none-bg); }
.ignored { color: var(--ignored); background: var(--ignored-bg); }
.targets {
  display: grid; gap: .75rem; grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr));
  margin-top: 1.25rem;
}
.targets h3 { display: flex; gap: .5rem; align-items: baseline; margin-top: 0; }
.number {
  flex: none; min-width: 1.5rem; text-align: center; border-radius: .4rem; background: var(--none-bg);
  color: var(--ink); font-size: .8125rem; font-weight: 600; padding: 0 .3rem;
}
.tiles { display: flex; flex-wrap: wrap; gap: 3px; margin: .75rem 0; }
.tiles > * { width: .875rem; height: .875rem; border-radius: 3px; background: currentColor; }
.tiles .warning { background: var(--warn-tile); }
.tiles .broken { background: none; border: 2px solid var(--warn-tile); }
.tiles .pass { opacity: .55; } .tiles .none { opacity: .35; } .tiles a:hover { outline: 2px solid var(--ink); }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1rem; margin-top: .5rem; }
.counts { list-style: none; display: flex; flex-wrap: wrap; gap: .375rem; padding: 0; margin: 0; }
.tools { display: flex; flex-wrap: wrap; gap: .5rem 1.25rem; align-items: center; margin-bottom: .75rem; }
.tools label { display: inline-flex; gap: .4rem; align-items: center; min-height: 2rem; cursor: pointer; }
.legend {
  display: flex; flex-wrap: wrap; gap: .25rem .9rem; list-style: none; padding: 0; margin: 0;
  font-size: .875rem;
}
.legend li { display: inline-flex; gap: .35rem; align-items: center; }
.scroll { overflow-x: auto; padding: 0; }
table { border-collapse: separate; border-spacing: 0; width: 100%; }
th, td { padding: .3rem .3rem; border-bottom: 1px solid var(--line); text-align: center; }
tbody:last-child tr:last-child > * { border-bottom: 0; }
th { font-weight: 600; }
th:first-child {
  text-align: left; position: sticky; left: 0; background: var(--card); font-weight: 400; min-width: 11.5rem;
  padding-left: .75rem;
}
.several th:first-child { box-shadow: 1px 0 0 var(--line); }
thead th, .area th:first-child { font-size: .8125rem; color: var(--soft); font-weight: 600; }
.area th:first-child { background: var(--page); }
.rule { overflow-wrap: anywhere; line-height: 1.35; }
.rule small { display: block; color: var(--soft); font-size: .8125rem; line-height: 1.35; overflow-wrap: break-word; }
.mark {
  display: inline-flex; align-items: center; justify-content: center; min-width: 2rem; height: 1.625rem;
  padding: 0 .4rem; border-radius: .4rem; font-weight: 700; font-size: .9rem; text-decoration: none;
  white-space: nowrap;
}
a.mark { outline: 1.5px solid currentColor; outline-offset: -1.5px; }
.column { width: 2.75rem; white-space: nowrap; }
body:has(#problems:checked) .clear { display: none; }
.finding { margin-bottom: .75rem; scroll-margin-top: 1rem; border-left: .25rem solid var(--edge, var(--line)); }
.finding.is-error { --edge: var(--fail); }
.finding.is-warning { --edge: var(--warn); }
.finding.is-note { --edge: var(--note); }
.finding:target { box-shadow: 0 0 0 2px var(--link); }
.heads { display: flex; flex-wrap: wrap; gap: .25rem .6rem; align-items: center; }
dl { display: grid; grid-template-columns: 1fr; margin: .75rem 0 0; }
dt { color: var(--soft); font-size: .8125rem; font-weight: 600; margin-top: .4rem; }
dd { margin: 0; }
.wire { display: grid; gap: .5rem; margin-top: .75rem; }
.wire h4 {
  margin: 0; padding: .35rem .75rem; font-size: .8125rem; color: var(--soft);
  border-bottom: 1px solid var(--line);
}
.wire section { border: 1px solid var(--line); border-radius: .5rem; background: var(--code); min-width: 0; }
pre {
  margin: 0; padding: .6rem .75rem; white-space: pre-wrap; overflow-wrap: anywhere; line-height: 1.5;
  max-height: 24rem; overflow-y: auto;
}
pre b { font-weight: 700; }
summary { cursor: pointer; padding: .4rem 0; color: var(--soft); font-size: .875rem; }
details > pre { background: var(--code); border: 1px solid var(--line); border-radius: .5rem; }
ul.plain { padding-left: 1.1rem; margin: .25rem 0; } ul.plain li { margin: .3rem 0; }
footer { padding-block: 2rem; }
@media (min-width: 44rem) {
  h1 { font-size: 1.6rem; } th:first-child { padding-left: 1rem; }
  .card { padding: 1rem 1.25rem; } .scroll.card { padding: 0; }
  th, td { padding: .25rem 1rem; } .column { width: 5rem; }
  .rule { display: grid; grid-template-columns: minmax(14rem, 17rem) 1fr; gap: 0 1rem; align-items: baseline; }
  .several .rule { grid-template-columns: 1fr; }
  dl { grid-template-columns: 5.5rem 1fr; gap: .25rem .75rem; } dt { margin-top: .15rem; }
  .wire { grid-template-columns: 1fr 1fr; }
}
@media print {
  body { background: none; }
  .tools { display: none; }
  .finding { break-inside: avoid; }
  pre { max-height: none; }
}
"""
"""The style sheet."""
