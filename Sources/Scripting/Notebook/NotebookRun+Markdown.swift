// A notebook that was run, as Markdown: pictures lie in a folder beside it.

package import Foundation

extension NotebookRun {
  /// The text, and the pictures by the name under which it refers to them.
  ///
  /// - Parameter folder: the name of the folder for pictures, beside the file.
  package func markdown(picturesIn folder: String) -> (text: String, pictures: [(name: String, data: Data)]) {
    var blocks: [String] = []
    var pictures: [(name: String, data: Data)] = []
    func fence(_ text: String, _ language: String = "") {
      let marks = text.contains("```") ? "````" : "```"
      let end = text.hasSuffix("\n") ? "" : "\n"
      blocks.append("\(marks)\(language)\n\(text)\(end)\(marks)")
    }
    func picture(_ data: Data, _ ending: String) {
      let name = "figure-\(pictures.count + 1).\(ending)"
      pictures.append((name, data))
      blocks.append("![figure \(pictures.count)](\(folder)/\(name))")
    }
    for (cell, run) in zip(notebook.cells, runs) {
      switch cell.kind {
      case .markdown: blocks.append(cell.source)
      case .raw: fence(cell.source)
      case .code:
        fence(cell.source, "lua")
        for output in run?.outputs ?? [] {
          switch output {
          case .text(let text), .result(let text): fence(text, "text")
          case .figure(.png(let data)): picture(data, "png")
          case .figure(.svg(let text)): picture(Data(text.utf8), "svg")
          case .error(let message, let traceback):
            fence("error: " + NotebookOutput.errorText(message, traceback), "text")
          }
        }
      }
    }
    return (blocks.joined(separator: "\n\n") + "\n", pictures)
  }
}
