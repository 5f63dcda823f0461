// notebook and new: Lua files in cells, run to pages that show code and results.

import ArgumentParser
import Foundation
import Reporting
import Scripting

/// Runs and converts notebooks.
struct NotebookCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "notebook", abstract: "Run notebooks, and turn them into other forms.",
    subcommands: [NotebookRunCommand.self, NotebookConvertCommand.self])
}

/// Runs a notebook.
struct NotebookRunCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run", abstract: "Run every cell of a notebook and write what came of it.",
    discussion: """
      A notebook is a Lua file with `-- %%` before each cell and `-- %% [markdown]` before text, or an .ipynb. All \
      cells run in one session. What they print, give, draw and fail with stands below them. Cells behind one that \
      failed are not run, and the command ends with an error; the page is written all the same.
      """)

  @Argument(help: ArgumentHelp("The notebook, .lua or .ipynb.", valueName: "file"))
  var input: String

  @Option(
    name: .customShort("o"), parsing: .singleValue,
    help: ArgumentHelp(
      "What to write: .html (one file, pictures inside), .ipynb, or .md (pictures beside it). May be given again.",
      valueName: "file"))
  var outputs: [String] = []

  @Flag(
    help: ArgumentHelp(
      "Run only the cells that have changed, those that use what these set, and those that make what these use; take the other results from the .ipynb among the outputs."
    ))
  var changed = false

  @Flag(name: .customLong("keep-going"), help: "Run the cells behind one that failed, too.")
  var keepsGoing = false

  func validate() throws {
    guard !outputs.isEmpty else { throw ValidationError("-o FILE says where to write, such as -o page.html") }
    if let name = outputs.first(where: { !["html", "ipynb", "md"].contains(URL(filePath: $0).pathExtension) })
    {
      throw ValidationError("-o writes .html, .ipynb or .md, not \(name)")
    }
    guard !changed || outputs.contains(where: { $0.hasSuffix(".ipynb") }) else {
      throw ValidationError("--changed takes earlier results from an .ipynb: give one with -o, too")
    }
  }

  func run() throws {
    let notebook = try Notebook(contentsOf: URL(filePath: input))
    let count = notebook.cells.count { $0.kind == .code }
    let earlier = changed ? outputs.first { $0.hasSuffix(".ipynb") } : nil
    let result = try NotebookRun.running(
      notebook, environment: ScriptEnvironment(progress: TerminalProgress()),
      reusing: earlier.flatMap { NotebookRun(resultsIn: URL(filePath: $0)) }, keepsGoing: keepsGoing
    ) { run in
      Console.remark("cell \(run.number) of \(count): \(run.failure.map { "failed: \($0)" } ?? "done")")
    }
    for output in outputs {
      try result.write(to: URL(filePath: output))
      Console.print(output)
    }
    if result.hasFailed { throw ExitCode(Program.ExitStatus.failure) }
  }
}

/// Turns a notebook into another form without running it.
struct NotebookConvertCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "convert", abstract: "Turn a notebook into another form, without running it.")

  @Argument(help: ArgumentHelp("The notebook, .lua or .ipynb.", valueName: "file"))
  var input: String

  @Option(
    name: .customShort("o"),
    help: ArgumentHelp("What to write: .lua, .ipynb, .html or .md.", valueName: "file"))
  var output: String

  func run() throws {
    try NotebookRun(Notebook(contentsOf: URL(filePath: input))).write(to: URL(filePath: output))
  }
}

/// Writes a notebook to begin with.
struct NewCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "new", abstract: "Write a notebook to begin with.")

  @Argument(help: ArgumentHelp("The file to write, .lua or .ipynb.", valueName: "file"))
  var output: String

  func run() throws {
    let url = URL(filePath: output)
    guard !FileManager.default.fileExists(atPath: url.path) else {
      throw Diagnostic(
        "the file is there already", at: url.path, expected: "a new name", found: "an existing file",
        remedy: "choose another name; nothing was written")
    }
    try NotebookRun(.starter).write(to: url)
    Console.print(
      "\(output); run it: lunette notebook run \(output) -o \(url.deletingPathExtension().lastPathComponent).html"
    )
  }
}
