// A notebook: a Lua file in the percent form, `-- %%` before each cell, that editors run and Jupytext converts.

/// One cell of a notebook.
package struct NotebookCell: Equatable, Sendable {
  package enum Kind: String, Sendable {
    case code, markdown, raw
  }

  package var kind: Kind
  /// The lines of code, or of text without their comment marks; no blank lines at the end.
  package var source: String
  /// The marker's line as it stands in the file; made from the kind if there was none.
  package var marker: String
}

/// The cells of a notebook in order.
package struct Notebook: Equatable, Sendable {
  /// The lines of metadata that Jupytext keeps at the top, as they stand.
  package var header: [String] = []
  package var cells: [NotebookCell] = []

  package init(cells: [NotebookCell] = []) { self.cells = cells }

  /// Splits the text of a file; what lies before the first marker is a cell of code.
  package init(percent text: String) {
    var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)[...]
    if lines.first == "-- ---", let end = lines.dropFirst().firstIndex(of: "-- ---") {
      header = Array(lines[...end])
      lines = lines[(end + 1)...]
    }
    var marker: String?
    var body: [String] = []
    func finish() {
      while body.last?.allSatisfy(\.isWhitespace) == true { body.removeLast() }
      if marker == nil {
        while body.first?.allSatisfy(\.isWhitespace) == true { body.removeFirst() }
        if body.isEmpty { return }
      }
      cells.append(NotebookCell(marker: marker ?? "-- %%", body: body))
    }
    for line in lines {
      if Self.isMarker(line) {
        finish()
        (marker, body) = (line, [])
      } else {
        body.append(line)
      }
    }
    finish()
  }

  private static func isMarker(_ line: String) -> Bool {
    guard line.hasPrefix("--") else { return false }
    let rest = line.dropFirst(2).drop { $0 == " " }
    return rest == "%%" || rest.hasPrefix("%% ")
  }

  /// The text of the file: a blank line between cells.
  package var percent: String {
    let blocks = (header.isEmpty ? [] : [header.joined(separator: "\n")]) + cells.map(\.percent)
    return blocks.joined(separator: "\n\n") + "\n"
  }

  /// The first heading, else nil.
  package var title: String? {
    cells.lazy.filter { $0.kind == .markdown }.compactMap { cell in
      cell.source.split(separator: "\n").first { $0.hasPrefix("# ") }.map { String($0.dropFirst(2)) }
    }.first
  }
}

extension NotebookCell {
  package init(_ kind: Kind, _ source: String) {
    self.init(kind: kind, source: source, marker: kind == .code ? "-- %%" : "-- %% [\(kind.rawValue)]")
  }

  /// A cell from the lines of a file.
  fileprivate init(marker: String, body: [String]) {
    let kind: Kind =
      marker.contains("[markdown]") || marker.contains("[md]")
      ? .markdown : marker.contains("[raw]") ? .raw : .code
    let lines =
      kind == .code
      ? body
      : body.map { line in
        line.hasPrefix("-- ") ? String(line.dropFirst(3)) : line == "--" ? "" : line
      }
    self.init(kind: kind, source: lines.joined(separator: "\n"), marker: marker)
  }

  fileprivate var percent: String {
    if source.isEmpty { return marker }
    if kind == .code { return "\(marker)\n\(source)" }
    let lines = source.split(separator: "\n", omittingEmptySubsequences: false)
    return marker + "\n" + lines.map { $0.isEmpty ? "--" : "-- \($0)" }.joined(separator: "\n")
  }
}
