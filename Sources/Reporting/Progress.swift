// Progress of long work, as the layers below the hosts report it. Drawing it is the hosts' business.

/// Receives the progress of long work; called from any thread.
package protocol ProgressSink: Sendable {
  /// Opens a stage of `total` steps, such as "preprocess 3d_fullres" over cases.
  func begin(_ stage: String, total: Int)
  /// Reports that `completed` of the current stage's steps are done; `detail` may name the latest one.
  func update(completed: Int, detail: String)
  /// Closes the current stage.
  func end()
  /// Prints a line that stays.
  func note(_ line: String)
}

/// Swallows everything, for tests and library use.
package struct SilentProgress: ProgressSink {
  package init() {}
  package func begin(_ stage: String, total: Int) {}
  package func update(completed: Int, detail: String) {}
  package func end() {}
  package func note(_ line: String) {}
}
