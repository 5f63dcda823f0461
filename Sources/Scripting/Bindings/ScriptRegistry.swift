// What the bindings of one state share: its functions, folders and progress.

import Backends
package import Datasets
import Foundation
import LuaHost
import Pipelines
package import Reporting

/// What a host gives to its scripts.
package struct ScriptEnvironment: Sendable {
  /// Where datasets and results live.
  package var roots: DatasetRoots
  /// Receives the progress of long work.
  package var progress: any ProgressSink

  package init(
    roots: DatasetRoots = DatasetRoots(root: nil), progress: any ProgressSink = SilentProgress()
  ) {
    self.roots = roots
    self.progress = progress
  }
}

/// The surroundings of the bindings in one state.
final class ScriptRegistry {
  private var functions: [String: LuaNativeFunction] = [:]
  /// Where datasets and results live.
  var roots = DatasetRoots(root: nil)
  /// Receives the progress of long work.
  var progress: any ProgressSink = SilentProgress()

  /// Shows a figure where figures can be shown; nil elsewhere.
  var show: ((NotebookFigure) -> Void)?
  /// Receives what the session prints.
  var write: (String) -> Void = { StandardStreams.writeOutput($0) }

  private var madeBackend: (any Backend)?

  /// Where networks compute; made at first use.
  func backend() throws -> any Backend {
    if let madeBackend { return madeBackend }
    let backend = try CPUBackend()
    madeBackend = backend
    return backend
  }

  static func of(_ state: LuaState) -> ScriptRegistry {
    if let registry = state.attachment as? ScriptRegistry { return registry }
    let registry = ScriptRegistry()
    state.attachment = registry
    return registry
  }

  /// The function of a binding, made once.
  func function(for binding: Binding) -> LuaNativeFunction {
    if let function = functions[binding.schema.name] { return function }
    let function = binding.makeFunction()
    functions[binding.schema.name] = function
    return function
  }

  /// The stages of the job, stopped by an interrupt of the state.
  static func pipeline(of state: LuaState) -> Pipeline {
    let registry = of(state)
    return Pipeline(roots: registry.roots, progress: registry.progress, cancellation: state.cancellation)
  }
}

/// The two results that stand for an expected failure: nil and a message.
func absence(_ message: String) -> [LuaValue] { [.nil, .string(message)] }

/// A path as users write it, with `~`.
func fileURL(_ path: String) -> URL { URL(filePath: (path as NSString).expandingTildeInPath) }

/// Whether there is a file or folder.
func fileExists(_ url: URL) -> Bool { FileManager.default.fileExists(atPath: url.path) }
