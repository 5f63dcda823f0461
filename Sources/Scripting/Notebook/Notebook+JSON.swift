// Notebooks in Jupyter's form, nbformat 4.5.

package import Archives
import Foundation
package import Reporting

extension Notebook {
  /// Takes the cells of an `.ipynb`; outputs are left behind.
  ///
  /// - Throws: ``Diagnostic`` if it is no notebook of version 4.
  package init(json: JSON, source: String) throws(Diagnostic) {
    guard json["nbformat"]?.integer == 4, let entries = json["cells"]?.array else {
      throw Diagnostic(
        "this is no notebook", at: source, expected: "nbformat 4 with a list of cells",
        found: json["nbformat"].map { "nbformat \($0.text(indent: nil))" } ?? "no \"nbformat\"",
        remedy: "save it anew with Jupyter 4 or later")
    }
    for entry in entries {
      let kind = entry["cell_type"]?.string.flatMap(NotebookCell.Kind.init(rawValue:)) ?? .raw
      // The text stands as one string or as a list of lines.
      let text = entry["source"]?.string ?? (entry["source"]?.array?.compactMap(\.string).joined() ?? "")
      cells.append(NotebookCell(kind, text))
    }
  }
}

extension NotebookRun {
  /// The content of an `.ipynb`.
  package var json: JSON {
    [
      "cells": .array(
        notebook.cells.enumerated().map { index, cell in cellJSON(cell, runs[index], number: index + 1) }),
      "metadata": [
        "jupytext": [
          "cell_metadata_filter": "-all", "main_language": "lua", "notebook_metadata_filter": "-all",
        ],
        "kernelspec": ["display_name": "Lua (Lunette)", "language": "lua", "name": "lunette"],
        "language_info": ["file_extension": ".lua", "mimetype": "text/x-lua", "name": "lua"],
      ],
      "nbformat": 4, "nbformat_minor": 5,
    ]
  }

  private func cellJSON(_ cell: NotebookCell, _ run: CellRun?, number: Int) -> JSON {
    var object: JSONObject = [
      "cell_type": .string(cell.kind.rawValue), "id": .string("cell-\(number)"),
      "metadata": run.map { ["lunette": ["seconds": .number($0.seconds)]] } ?? .object(JSONObject()),
    ]
    if cell.kind == .code {
      object["execution_count"] = run.map { .integer($0.number) } ?? .null
      object["outputs"] = .array(run?.outputs.map { outputJSON($0, of: run) } ?? [])
    }
    object["source"] = Self.lines(cell.source)
    return .object(object)
  }

  /// A text as a list of its lines, ends included, as Jupyter writes it.
  private static func lines(_ text: String) -> JSON {
    var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map { "\($0)\n" }
    if let last = lines.popLast(), last != "\n" { lines.append(String(last.dropLast())) }
    return .array(lines.map(JSON.string))
  }

  private func outputJSON(_ output: NotebookOutput, of run: CellRun?) -> JSON {
    let none = JSON.object(JSONObject())
    switch output {
    case .text(let text): return ["name": "stdout", "output_type": "stream", "text": Self.lines(text)]
    case .result(let text):
      return [
        "data": ["text/plain": Self.lines(text)], "execution_count": run.map { .integer($0.number) } ?? .null,
        "metadata": none, "output_type": "execute_result",
      ]
    case .figure(.png(let data)):
      return [
        "data": ["image/png": .string(data.base64EncodedString()), "text/plain": ["a figure"]],
        "metadata": none,
        "output_type": "display_data",
      ]
    case .figure(.svg(let text)):
      return [
        "data": ["image/svg+xml": Self.lines(text), "text/plain": ["a figure"]], "metadata": none,
        "output_type": "display_data",
      ]
    case .error(let message, let traceback):
      return [
        "ename": "error", "evalue": .string(message), "output_type": "error",
        "traceback": .array(
          NotebookOutput.errorText(message, traceback).split(separator: "\n").map { .string("\($0)") }),
      ]
    }
  }
}

extension NotebookRun {
  /// Takes the cells of an `.ipynb` with the results that this program wrote into it.
  ///
  /// - Throws: ``Diagnostic`` if it is no notebook of version 4.
  package init(json: JSON, source: String) throws(Diagnostic) {
    self.init(try Notebook(json: json, source: source))
    for (index, entry) in (json["cells"]?.array ?? []).enumerated() {
      guard let seconds = entry["metadata"]?["lunette"]?["seconds"]?.double,
        let number = entry["execution_count"]?.integer, let outputs = entry["outputs"]?.array
      else { continue }
      let read = outputs.compactMap(Self.output)
      // Something that another program added: the cell counts as not run.
      guard read.count == outputs.count else { continue }
      runs[index] = CellRun(outputs: read, number: number, seconds: seconds)
    }
  }

  private static func output(_ json: JSON) -> NotebookOutput? {
    func text(_ value: JSON?) -> String? {
      value?.string ?? value?.array.map { $0.compactMap(\.string).joined() }
    }
    switch json["output_type"]?.string {
    case "stream": return text(json["text"]).map(NotebookOutput.text)
    case "execute_result": return text(json["data"]?["text/plain"]).map(NotebookOutput.result)
    case "error":
      let lines = json["traceback"]?.array?.compactMap(\.string) ?? []
      guard let message = json["evalue"]?.string else { return nil }
      // The message stands above the calls.
      let calls = lines.dropFirst(message.split(separator: "\n").count).joined(separator: "\n")
      return .error(message: message, traceback: calls)
    case "display_data":
      if let svg = text(json["data"]?["image/svg+xml"]) { return .figure(.svg(svg)) }
      return text(json["data"]?["image/png"]).flatMap { Data(base64Encoded: $0) }.map { .figure(.png($0)) }
    default: return nil
    }
  }
}
