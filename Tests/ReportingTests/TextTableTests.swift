// Tables as aligned text and as comma-separated values.

import Reporting
import Testing

@Suite struct TextTableTests {
  private let table = TextTable(
    header: ["name", "n", "note"], rows: [["a", "10", "x"], ["long", "7", ""]], numericColumns: [1])

  @Test("Words stand to the left, numbers to the right, and no line ends in blanks")
  func lines() {
    #expect(table.lines == ["  name   n  note", "  a     10  x", "  long   7"])
  }

  @Test("Cells with commas, quotes or line ends are quoted")
  func csv() {
    let table = TextTable(header: ["a", "b"], rows: [["1,2", "say \"no\""], ["two\nlines", "plain"]])
    #expect(table.csv == "a,b\n\"1,2\",\"say \"\"no\"\"\"\n\"two\nlines\",plain\n")
  }
}
