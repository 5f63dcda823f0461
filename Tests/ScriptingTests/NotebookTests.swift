// Notebooks: their two forms, what comes of cells, and the pages they become.

import Archives
import Foundation
import Scripting
import Testing

@Suite("Notebook")
struct NotebookTests {
  private static let whole = """
    -- ---
    -- jupyter:
    --   kernelspec:
    --     name: lua
    -- ---

    -- %% [markdown]
    -- # Title
    --
    -- Text with `code`.

    -- %%
    -- a remark
    local a = 1

    a + 1

    -- %% named
    print("x")

    -- %% [raw]
    -- as it is

    -- %%

    """

  @Test(
    "The percent form comes back byte for byte",
    arguments: [
      whole, "-- %%\nx = 1\n", "-- %% [markdown]\n-- # A\n--\n-- text\n", "-- %%\n\n-- %%\ny\n",
      Notebook.starter.percent,
    ])
  func percent(_ text: String) {
    #expect(Notebook(percent: text).percent == text)
  }

  @Test("Cells have their kind and their lines; what lies before the first marker is code")
  func cells() {
    let notebook = Notebook(percent: Self.whole)
    #expect(notebook.cells.map(\.kind) == [.markdown, .code, .code, .raw, .code])
    #expect(notebook.cells[0].source == "# Title\n\nText with `code`.")
    #expect(notebook.cells[1].source == "-- a remark\nlocal a = 1\n\na + 1")
    #expect(notebook.cells[3].source == "as it is")
    #expect(notebook.title == "Title")
    let plain = Notebook(percent: "\nlocal x = 1\n\n-- %%x is no marker\n-- %%\nx\n")
    #expect(plain.cells.map(\.source) == ["local x = 1\n\n-- %%x is no marker", "x"])
  }

  @Test("Jupyter's form holds the same cells, and what it does not know is refused")
  func jupyter() throws {
    let notebook = Notebook(percent: Self.whole)
    let json = NotebookRun(notebook).json
    let back = try Notebook(json: JSON(parsing: json.text(indent: 1), source: "test"), source: "test")
    #expect(back.cells.map(\.source) == notebook.cells.map(\.source))
    #expect(back.cells.map(\.kind) == notebook.cells.map(\.kind))
    #expect(throws: (any Error).self) { try Notebook(json: ["nbformat": 3, "cells": []], source: "test") }
  }

  private func run(_ cells: [String], keepsGoing: Bool = false) throws -> NotebookRun {
    try NotebookRun.running(
      Notebook(cells: cells.map { NotebookCell(.code, $0) }), environment: ScriptEnvironment(),
      keepsGoing: keepsGoing)
  }

  @Test("Cells share a session; printed text, values, errors and silence stand with their cell")
  func outputs() throws {
    let result = try run(["local a = 20", "print('one')\nprint('two')\na + 22", "a;", "error('stop')", "a"])
    #expect(result.runs[0]?.outputs == [])
    #expect(result.runs[1]?.outputs == [.text("one\ntwo\n"), .result("42")])
    #expect(result.runs[2]?.outputs == [])
    guard case .error(let message, _)? = result.runs[3]?.outputs.first else {
      Issue.record("no error: \(String(describing: result.runs[3]))")
      return
    }
    #expect(message.contains("stop"))
    #expect(result.hasFailed && result.runs[4] == nil)
    let on = try run(["error('stop')", "1 + 1"], keepsGoing: true)
    #expect(on.hasFailed && on.runs[1]?.outputs == [.result("2")])
  }

  @Test("A picture that a cell draws, shows or has just written is a figure")
  func figures() throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "notebook-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: folder) }
    let result = try run([
      "lunette.roots{ root='\(folder.path)' } ds = lunette.phantom{ cases=5 }",
      "v = assert(lunette.volume(ds:case(ds.cases[1]).images[1]))\nv",
      "print('before') lunette.display(v) print('after')", "v:show{ path='\(folder.path)/a.svg' }",
      "'\(folder.path)/none.png'", "lunette.display(3)",
    ])
    guard case .figure(.png(let data))? = result.runs[1]?.outputs.first else {
      Issue.record("no picture of the volume")
      return
    }
    #expect(data.starts(with: [0x89, 0x50, 0x4E, 0x47]))
    #expect(result.runs[2]?.outputs == [.text("before\n"), .figure(.png(data)), .text("after\n")])
    guard case .figure(.svg(let text))? = result.runs[3]?.outputs.first else {
      Issue.record("no picture from the path")
      return
    }
    #expect(text.contains("<svg"))
    #expect(result.runs[4]?.outputs == [.result("\"\(folder.path)/none.png\"")])
    #expect(result.runs[5]?.hasFailed == true)

    let page = result.html(title: "page")
    #expect(page.contains("data:image/png;base64,") && page.contains("data:image/svg+xml;base64,"))
    #expect(!page.contains("http://") && !page.contains("https://") && !page.contains("<script"))
    let (markdown, pictures) = result.markdown(picturesIn: "files")
    #expect(pictures.map(\.name) == ["figure-1.png", "figure-2.png", "figure-3.svg"])
    #expect(markdown.contains("![figure 3](files/figure-3.svg)"))
    let outputs = result.json["cells"]?[2]?["outputs"]?.array
    #expect(outputs?.compactMap { $0["output_type"]?.string } == ["stream", "display_data", "stream"])
  }

  @Test("Text becomes HTML with tables, and neither text nor code can bring tags along")
  func html() throws {
    var notebook = Notebook(cells: [
      NotebookCell(.markdown, "# A & B\n\n| a | b |\n|---|---|\n| 1 | *2* |\n\n<script>alert(1)</script>"),
      NotebookCell(.code, "x = '<b>' -- & more\nprint('<i>')\nx"),
    ])
    let page = try NotebookRun.running(notebook, environment: ScriptEnvironment()).html(title: "t")
    #expect(page.contains("<title>A &amp; B</title>"))
    #expect(page.contains("<td><em>2</em></td>"))
    #expect(!page.contains("<script") && !page.contains("<b>") && !page.contains("<i>"))
    #expect(page.contains("<span class=\"s\">'&lt;b&gt;'</span>"))
    #expect(page.contains("<span class=\"c\"> -- &amp; more\n</span>"))
    notebook.cells.removeFirst()
    #expect(NotebookRun(notebook).html(title: "t & u").contains("<title>t &amp; u</title>"))
  }

  @Test(
    "A cell's names are those it uses and those it may change",
    arguments: [
      ("local a, b <const> = 1, c", ["a", "b", "const", "c"], ["a", "b", "const"], false),
      ("t.x[i] = { y = z }", ["t", "i", "y", "z"], ["t"], false), ("print(a)", ["print", "a"], [], false),
      ("a == b", ["a", "b"], [], false), ("function m.f(n) return n end", ["m", "n"], ["m"], false),
      ("run:plot('x.png')", ["run"], ["run"], false),
      ("table.insert(t, v)", ["table", "t", "v"], ["table", "t", "v"], false),
      ("lunette.roots{ root='r' }", ["lunette", "root"], ["lunette", "root"], true),
      ("plan", ["plan"], [], false),
      ("x = 1\ny, z = x, 2", ["x", "y", "z"], ["x", "y", "z"], false), ("Out[1]", ["Out"], ["Out"], true),
    ] as [(String, [String], [String], Bool)])
  func names(_ source: String, _ used: [String], _ changed: [String], _ hasEffect: Bool) {
    let names = CellNames(source)
    #expect(names.used == Set(used) && names.changed == Set(changed) && names.hasEffect == hasEffect)
  }

  @Test("Only what has changed runs again, with what it needs and what needs it")
  func changes() throws {
    func notebook(_ sources: [String]) -> Notebook {
      Notebook(cells: sources.map { NotebookCell(.code, $0) })
    }
    let before = ["a = 1", "b = 2\nprint('b')", "c = a + 1", "d = b + 1", "print(c, d)"]
    #expect(notebook(before).cellsToRun(changed: []).isEmpty)
    #expect(notebook(before).cellsToRun(changed: [2]) == [0, 1, 2, 3, 4])
    #expect(notebook(before).cellsToRun(changed: [3]) == [0, 1, 2, 3, 4])
    #expect(notebook(Array(before[..<4])).cellsToRun(changed: [2]) == [0, 2])
    #expect(notebook(["lunette.roots{}", "x = 1", "y = 2"]).cellsToRun(changed: [2]) == [0, 2])

    let first = try NotebookRun.running(notebook(before), environment: ScriptEnvironment())
    let kept = try NotebookRun(json: first.json, source: "test")
    #expect(kept.runs.map { $0?.outputs } == first.runs.map { $0?.outputs })
    var count = 0
    let same = try NotebookRun.running(notebook(before), environment: ScriptEnvironment(), reusing: kept) {
      _ in
      count += 1
    }
    #expect(count == 0 && same.runs[4]?.outputs == [.text("2\t3\n")])
    var after = Array(before[..<4])
    after[2] = "c = a + 10\nc"
    let changed = try NotebookRun.running(notebook(after), environment: ScriptEnvironment(), reusing: kept) {
      _ in
      count += 1
    }
    #expect(count == 2 && changed.runs[2]?.outputs == [.result("11")])
    #expect(changed.runs[1]?.outputs == [.text("b\n")] && changed.runs.map { $0?.number } == [1, 2, 3, 4])
  }
}
