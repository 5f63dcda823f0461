// Notebooks in files: which ending is which form.

import Archives
package import Foundation
package import Reporting

extension Notebook {
  /// Reads a `.lua` in the percent form or an `.ipynb`.
  package init(contentsOf url: URL) throws(Diagnostic) {
    let bytes = try readRegularFile(url, as: "the notebook")
    switch url.pathExtension {
    case "lua": self.init(percent: String(decoding: bytes, as: UTF8.self))
    case "ipynb": try self.init(json: JSON(parsing: bytes, source: url.path), source: url.path)
    default:
      throw Diagnostic(
        "this is no notebook", at: url.path, expected: "a file .lua or .ipynb",
        found: ".\(url.pathExtension)", remedy: "lunette new FILE.lua makes one")
    }
  }

  /// The forms a notebook can be written in, by the file's ending.
  package static let endings = ["html", "ipynb", "md", "lua"]
}

extension NotebookRun {
  /// The results in an `.ipynb` that was written before; nil if there is none that can be read.
  package init?(resultsIn url: URL) {
    guard let json = try? JSON(contentsOf: url), let run = try? NotebookRun(json: json, source: url.path)
    else {
      return nil
    }
    self = run
  }

  /// Writes the notebook with all that came of it; the file's ending decides on the form.
  package func write(to url: URL) throws {
    let name = url.deletingPathExtension().lastPathComponent
    switch url.pathExtension {
    case "html": try writeAtomically(Data(html(title: name).utf8), to: url)
    case "ipynb": try writeAtomically(Data((json.text(indent: 1) + "\n").utf8), to: url)
    case "lua": try writeAtomically(Data(notebook.percent.utf8), to: url)
    case "md":
      let folder = "\(name)_files"
      let (text, pictures) = markdown(picturesIn: folder)
      for picture in pictures {
        try writeAtomically(
          picture.data, to: url.deletingLastPathComponent().appending(path: "\(folder)/\(picture.name)"))
      }
      try writeAtomically(Data(text.utf8), to: url)
    default:
      throw Diagnostic(
        "a notebook is not written in this form", at: url.path,
        expected: Notebook.endings.map { ".\($0)" }.joined(separator: ", "), found: ".\(url.pathExtension)",
        remedy: "choose another ending")
    }
  }
}

extension Notebook {
  /// A notebook to begin with.
  package static let starter = Notebook(cells: [
    NotebookCell(
      .markdown,
      """
      # A first notebook

      Run it with `lunette notebook run FILE.lua -o FILE.html`, or cell by cell in an editor that knows `-- %%`.
      A cell's last value is shown; volumes, predictions and runs are drawn.
      """),
    NotebookCell(
      .code,
      """
      -- The built-in phantom; lunette.dataset(4) opens a dataset of yours.
      lunette.roots{ root="notebook-data" }
      local ds = lunette.phantom{ cases=5 }
      ds
      """),
    NotebookCell(
      .code,
      """
      local case = ds:case(ds.cases[1])
      local image = assert(lunette.volume(case.images[1]))
      image:stats()
      """),
    NotebookCell(.code, "image"),
    NotebookCell(.markdown, "## The plan\n\nEvery decided value can be asked for its reason."),
    NotebookCell(
      .code,
      """
      local plan = lunette.plan(ds)
      plan:why("3d_fullres.patch_size")
      """),
  ])
}
