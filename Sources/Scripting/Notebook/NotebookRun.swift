// Running a notebook: every cell in one session, with all that it printed, gave, drew and failed with.

package import Foundation
import LuaHost
import Reporting

/// A picture in a notebook.
package enum NotebookFigure: Equatable, Sendable {
  case png(Data)
  case svg(String)

  /// Reads a picture's file; nil for a file of another kind.
  init?(contentsOf url: URL) throws {
    switch url.pathExtension {
    case "png": self = .png(try Data(contentsOf: url))
    case "svg": self = .svg(try String(contentsOf: url, encoding: .utf8))
    default: return nil
    }
  }
}

/// Something that came of a cell.
package enum NotebookOutput: Equatable, Sendable {
  /// Printed text.
  case text(String)
  /// The value of the cell's last expression as text.
  case result(String)
  case figure(NotebookFigure)
  /// What went wrong, and the calls that led there.
  case error(message: String, traceback: String)

  /// The text that stands for an error: the message, and below it the calls where there were any.
  static func errorText(_ message: String, _ traceback: String) -> String {
    traceback.isEmpty ? message : "\(message)\n\(traceback)"
  }
}

/// What came of one cell of code.
package struct CellRun: Equatable, Sendable {
  package var outputs: [NotebookOutput] = []
  /// Which of the cells of code it is, from 1.
  package var number: Int
  package var seconds: Double

  package var hasFailed: Bool { failure != nil }

  /// What went wrong; nil if nothing did.
  package var failure: String? {
    for case .error(let message, let traceback) in outputs {
      return NotebookOutput.errorText(message, traceback)
    }
    return nil
  }
}

/// A notebook with what came of its cells.
package struct NotebookRun: Sendable {
  package var notebook: Notebook
  /// One entry per cell; nil for text, and for code that was not run.
  package var runs: [CellRun?]

  /// A notebook that has not been run.
  package init(_ notebook: Notebook) {
    self.notebook = notebook
    runs = notebook.cells.map { _ in nil }
  }

  package var hasFailed: Bool { runs.contains { $0?.hasFailed == true } }

  /// Runs all cells in a session of their own.
  ///
  /// - Parameters:
  ///   - environment: Where datasets lie, and who shows progress.
  ///   - earlier: A run whose results are taken for cells that cannot have changed since.
  ///   - keepsGoing: Whether cells behind one that failed are run too.
  ///   - report: Is told of every cell that is done.
  package static func running(
    _ notebook: Notebook, environment: ScriptEnvironment, reusing earlier: NotebookRun? = nil,
    keepsGoing: Bool = false, report: (CellRun) -> Void = { _ in }
  ) throws -> NotebookRun {
    var (result, places) = (NotebookRun(notebook), Set(notebook.cells.indices))
    if let earlier { (result, places) = result.reusing(earlier) }
    if places.isEmpty { return result }
    let collector = OutputCollector()
    let session = try Session(exposesMembers: true, environment: environment) { collector.print($0) }
    defer { session.close() }
    ScriptRegistry.of(session.state).show = { collector.outputs.append(.figure($0)) }
    session.state.watchControlC()
    defer { LuaState.ignoreControlC() }
    var number = 0
    for (index, cell) in notebook.cells.enumerated() where cell.kind == .code {
      if cell.source.allSatisfy(\.isWhitespace) { continue }
      number += 1
      result.runs[index]?.number = number
      guard places.contains(index) else { continue }
      var run = try collector.run(cell, in: session)
      run.number = number
      result.runs[index] = run
      report(run)
      if run.hasFailed, !keepsGoing {
        for later in places where later > index { result.runs[later] = nil }
        break
      }
    }
    return result
  }
}

/// Gathers what a session gives while a cell runs.
private final class OutputCollector {
  var outputs: [NotebookOutput] = []

  func print(_ text: String) {
    if case .text(let before)? = outputs.last {
      outputs[outputs.count - 1] = .text(before + text)
    } else {
      outputs.append(.text(text))
    }
  }

  func run(_ cell: NotebookCell, in session: Session) throws -> CellRun {
    outputs = []
    let begin = Date()
    let evaluation = session.execute(cell.source)
    if let error = evaluation.error {
      outputs.append(.error(message: error.message, traceback: error.calls))
    } else if let text = evaluation.result {
      let value = evaluation.isCommand ? nil : try session.result(evaluation.number)
      if let figure = try value.flatMap({ try self.figure(of: $0, since: begin) }) {
        outputs.append(.figure(figure))
      } else {
        outputs.append(.result(text))
      }
    }
    return CellRun(
      outputs: outputs, number: evaluation.number, seconds: evaluation.duration / .seconds(1))
  }

  /// The picture that a value is, or the picture in a file that the cell has just written and named.
  private func figure(of value: LuaValue, since begin: Date) throws -> NotebookFigure? {
    if let object = value.object as? any DrawableObject { return try object.figure() }
    guard let path = value.string, !path.contains("\n"), [".png", ".svg"].contains(where: path.hasSuffix)
    else {
      return nil
    }
    let url = fileURL(path)
    guard let date = try? url.resourceValues(forKeys: [.contentModificationDateKey]).contentModificationDate,
      date >= begin.addingTimeInterval(-1)
    else { return nil }
    return try NotebookFigure(contentsOf: url)
  }
}

/// An object of scripts that is shown as a picture where pictures can be shown.
protocol DrawableObject: ScriptObject {
  /// Draws it; the ending of the file, .png or .svg, is `figureEnding`.
  func draw(to url: URL) throws
  var figureEnding: String { get }
}

extension DrawableObject {
  func figure() throws -> NotebookFigure? {
    let scratch = try ScratchFolder()
    let url = scratch.url.appending(path: "figure.\(figureEnding)")
    try draw(to: url)
    return try NotebookFigure(contentsOf: url)
  }
}
