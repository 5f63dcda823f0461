// What a plan decided, as a table of at most 100 columns: one line per configuration.

import Archives
package import Datasets
import Foundation
package import Planning
import Reporting

/// The configurations of a plan in lines of text.
package struct PlanTable {
  /// The table, header first.
  package let lines: [String]

  private static let header = [
    "configuration", "spacing (mm)", "patch", "batch", "stages", "features", "GPU", "CPU",
  ]
  /// Columns of numbers, which stand to the right.
  private static let numericColumns: Set<Int> = [3, 4, 6, 7]

  /// Lays out the configurations of a dataset's plans.
  package init(_ plans: Plans, _ dataset: DatasetDescription) throws {
    var rows: [[String]] = []
    for name in plans.configurationNames {
      let configuration = try plans.configuration(named: name)
      let gpu = configuration.gpuMemory(
        classCount: dataset.labels.entries.count, planner: plans.plannerConstants)
      let cpu = try? TrainingMemory(
        TrainingWorkload(
          configuration, labels: dataset.labels, channelCount: dataset.channelNames.count)
      ).neededByteCount
      rows.append([
        name, configuration.spacing.map(Self.brief).joined(separator: "×"),
        configuration.patchSize.map(String.init).joined(separator: "×"), "\(configuration.batchSize)",
        "\(configuration.topology?.stageCount ?? 0)", Self.features(configuration.featuresPerStage),
        gpu.map(Self.gigabytes) ?? "?", cpu.map { Self.gigabytes(Double($0) / 1e9) } ?? "?",
      ])
    }
    lines = TextTable(header: Self.header, rows: rows, numericColumns: Self.numericColumns).lines
  }

  /// At most three digits after the point.
  private static func brief(_ value: Double) -> String {
    let text = String(format: "%.3f", value)
    let trimmed = text.reversed().drop { $0 == "0" }
    return String((trimmed.first == "." ? trimmed.dropFirst() : trimmed).reversed())
  }

  /// The first and the largest number of feature maps.
  private static func features(_ counts: [Int]) -> String {
    guard let first = counts.first, let most = counts.max() else { return "?" }
    return first == most ? "\(first)" : "\(first)-\(most)"
  }

  private static func gigabytes(_ value: Double) -> String {
    String(format: value < 1 ? "%.2f GB" : "%.1f GB", value)
  }
}
