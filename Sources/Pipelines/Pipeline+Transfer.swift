// Plans that go from one dataset to another.

import Archives
import Datasets
import Foundation
import Planning
import Reporting

extension Pipeline {
  /// Writes the plans of one dataset for another, under their own name or a new one.
  package func movePlans(
    named name: String, from source: String, to target: String, as newName: String? = nil
  ) throws {
    let plans = try readPlans(named: name, of: roots.resolveName(source))
    let dataset = try openDataset(target)
    let newName = newName ?? name
    let url = try roots.preprocessedFolder(of: dataset.name).appending(path: "\(newName).json")
    let isReplacing = FileManager.default.fileExists(atPath: url.path)
    try plans.transferred(to: dataset, named: newName).write(to: url)
    progress.note("plans: \(url.path)" + (isReplacing ? " (replaced)" : ""))
  }
}
