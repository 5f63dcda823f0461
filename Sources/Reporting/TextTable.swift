// Tables for terminals and files: aligned text, and comma-separated values.

/// Rows of cells under a header.
package struct TextTable: Sendable, Equatable {
  package var header: [String]
  package var rows: [[String]]
  /// Columns of numbers, which stand to the right.
  package var numericColumns: Set<Int>

  package init(header: [String], rows: [[String]], numericColumns: Set<Int> = []) {
    self.header = header
    self.rows = rows
    self.numericColumns = numericColumns
  }

  /// The table in aligned lines, header first, indented by two columns.
  package var lines: [String] {
    let all = [header] + rows
    let widths = header.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
    return all.map { row in
      let cells = row.enumerated().map { column, text in
        let padding = String(repeating: " ", count: widths[column] - text.count)
        return numericColumns.contains(column) ? padding + text : text + padding
      }
      let line = "  " + cells.joined(separator: "  ")
      return String(line.reversed().drop { $0 == " " }.reversed())
    }
  }

  /// The table as comma-separated values, header first; cells with commas, quotes or line ends are quoted.
  package var csv: String {
    ([header] + rows).map { row in
      row.map { cell in
        guard cell.contains(where: { $0 == "," || $0 == "\"" || $0.isNewline }) else { return cell }
        return "\"" + cell.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"")
          + "\""
      }.joined(separator: ",") + "\n"
    }.joined()
  }
}
