// A notebook that was run, as one HTML file that needs nothing else.

import CMarkdown
import Foundation

extension NotebookRun {
  /// The page.
  package func html(title: String) -> String {
    var body = ""
    for (cell, run) in zip(notebook.cells, runs) {
      switch cell.kind {
      case .markdown: body += "<section class=\"text\">\n\(htmlFromMarkdown(cell.source))</section>\n"
      case .raw: body += "<pre class=\"raw\">\(escapedHTML(cell.source))</pre>\n"
      case .code: body += codeHTML(cell, run)
      }
    }
    return """
      <!DOCTYPE html>
      <html lang="en">
      <head>
      <meta charset="utf-8">
      <meta name="viewport" content="width=device-width, initial-scale=1">
      <title>\(escapedHTML(notebook.title ?? title))</title>
      <link rel="icon" href="data:,">
      <style>\(Self.style)</style>
      </head>
      <body>
      <main>
      \(body)</main>
      </body>
      </html>

      """
  }

  private func codeHTML(_ cell: NotebookCell, _ run: CellRun?) -> String {
    let state = run.map { $0.hasFailed ? " failed" : "" } ?? " skipped"
    var html = "<section class=\"code\(state)\">\n<div class=\"input\"><span class=\"number\">"
    html += run.map { "\($0.number)" } ?? "&nbsp;"
    html += "</span><pre>\(highlightedLua(cell.source))</pre>"
    html +=
      "<span class=\"time\">\(run.map { durationText(.seconds($0.seconds)) } ?? "not run")</span></div>\n"
    for output in run?.outputs ?? [] { html += outputHTML(output) }
    return html + "</section>\n"
  }

  private func outputHTML(_ output: NotebookOutput) -> String {
    switch output {
    case .text(let text): "<pre class=\"output\">\(escapedHTML(text))</pre>\n"
    case .result(let text): "<pre class=\"output result\">\(escapedHTML(text))</pre>\n"
    case .figure(.png(let data)):
      "<figure><img alt=\"figure\" src=\"data:image/png;base64,\(data.base64EncodedString())\"></figure>\n"
    // As an image it can neither run scripts nor share names with other figures of the page.
    case .figure(.svg(let text)):
      "<figure><img alt=\"figure\" src=\"data:image/svg+xml;base64,\(Data(text.utf8).base64EncodedString())\"></figure>\n"
    case .error(let message, let traceback):
      "<pre class=\"output error\">\(escapedHTML(NotebookOutput.errorText(message, traceback)))</pre>\n"
    }
  }

  private static let style = """

    :root { color-scheme: light dark; --ink: #1f2328; --soft: #656d76; --line: #d8dee4; --code: #f6f8fa; --page: #fff;
      --keyword: #a626a4; --string: #2e7d32; --number: #986801; --comment: #7a828c; --bad: #b3261e; --accent: #2f6fb0; }
    @media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9aa4af; --line: #30363d; --code: #161b22;
      --page: #0d1117; --keyword: #d2a8ff; --string: #7ee787; --number: #ffa657; --comment: #8b949e; --bad: #ff7b72;
      --accent: #6cb6ff; } }
    * { box-sizing: border-box; }
    body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.6 system-ui, sans-serif; }
    main { max-width: 62rem; margin: 0 auto; padding: 2rem 1.25rem 5rem; }
    h1, h2, h3 { line-height: 1.25; margin: 1.6em 0 0.5em; } h1 { margin-top: 0.2em; }
    a { color: var(--accent); }
    pre, code { font: 13.5px/1.5 ui-monospace, "DejaVu Sans Mono", monospace; }
    .text code { background: var(--code); padding: 0.1em 0.3em; border-radius: 4px; }
    .text pre { background: var(--code); padding: 0.7rem 0.9rem; border-radius: 6px; overflow-x: auto; }
    .text pre code { padding: 0; background: none; }
    table { border-collapse: collapse; } th, td { border: 1px solid var(--line); padding: 0.25rem 0.7rem; }
    .code { margin: 1.1rem 0; border: 1px solid var(--line); border-radius: 8px; overflow: hidden; }
    .input { display: flex; gap: 0.9rem; background: var(--code); padding: 0.6rem 0.9rem; }
    .input pre { margin: 0; flex: 1; overflow-x: auto; }
    .number, .time { color: var(--soft); font-size: 12px; line-height: 20px; white-space: nowrap; }
    .number { min-width: 1.4em; text-align: right; }
    .output { margin: 0; padding: 0.5rem 0.9rem 0.5rem 3.2rem; border-top: 1px solid var(--line); overflow-x: auto;
      white-space: pre-wrap; }
    .result { color: var(--accent); }
    .error { color: var(--bad); border-left: 3px solid var(--bad); }
    .failed { border-color: var(--bad); } .skipped { opacity: 0.55; }
    figure { margin: 0; padding: 0.8rem; border-top: 1px solid var(--line); background: #fff; text-align: center; }
    figure img { max-width: 100%; height: auto; }
    .k { color: var(--keyword); } .s { color: var(--string); } .n { color: var(--number); } .c { color: var(--comment); }

    """
}

/// Text that is safe between tags and in attributes.
func escapedHTML(_ text: String) -> String {
  text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
    .replacing("\"", with: "&quot;")
}

/// Lua source with its tokens coloured; comments are what lies between tokens.
func highlightedLua(_ source: String) -> String {
  let bytes = Array(source.utf8)
  func text(_ range: Range<Int>) -> String { escapedHTML(String(decoding: bytes[range], as: UTF8.self)) }
  func gap(_ range: Range<Int>) -> String {
    guard bytes[range].contains(UInt8(ascii: "-")) else { return text(range) }
    return "<span class=\"c\">\(text(range))</span>"
  }
  var html = ""
  var end = 0
  for token in LuaLexer.tokens(of: source) {
    html += gap(end..<token.range.lowerBound)
    let kind =
      switch token.kind {
      case .keyword: "k"
      case .string, .unfinished: "s"
      case .number: "n"
      case .name, .symbol: ""
      }
    html += kind.isEmpty ? text(token.range) : "<span class=\"\(kind)\">\(text(token.range))</span>"
    end = token.range.upperBound
  }
  return html + gap(end..<bytes.count)
}

/// Markdown with GitHub's tables as HTML; HTML within it is left out.
func htmlFromMarkdown(_ text: String) -> String {
  cmark_gfm_core_extensions_ensure_registered()
  guard let parser = cmark_parser_new(CMARK_OPT_DEFAULT) else { return escapedHTML(text) }
  defer { cmark_parser_free(parser) }
  for name in ["table", "strikethrough", "autolink"] {
    if let syntax = cmark_find_syntax_extension(name) { cmark_parser_attach_syntax_extension(parser, syntax) }
  }
  cmark_parser_feed(parser, text, text.utf8.count)
  guard let document = cmark_parser_finish(parser) else { return escapedHTML(text) }
  defer { cmark_node_free(document) }
  guard let html = cmark_render_html(document, CMARK_OPT_DEFAULT, cmark_parser_get_syntax_extensions(parser))
  else {
    return escapedHTML(text)
  }
  defer { free(html) }
  return String(cString: html)
}
