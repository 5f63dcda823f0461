// export: logits of one case to its label map, as prediction does it after the last tile.

import Archives
import ArgumentParser
import Datasets
import Foundation
import Inference
import Planning
import Preprocessing
import Reporting
import Tensors
import VolumeFormats
import Volumes

/// Seconds and memory of resampling logits, deciding labels and writing them.
struct ExportBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export",
    abstract: "Time the export of float16 logits to a label map in the geometry of the case.",
    discussion: """
      Memory is the peak of resident memory since the logits were mapped and read once (VmHWM, reset through \
      /proc/self/clear_refs), less what was resident then.
      """)

  @Option(help: ArgumentHelp("Logits [K, Z, Y, X], float16.", valueName: "npy"))
  var logits: String

  @Option(help: ArgumentHelp("Plans.", valueName: "file"))
  var plans: String

  @Option(
    name: .customLong("configuration"), help: ArgumentHelp("Configuration of the plans.", valueName: "name"))
  var configurationName = "3d_fullres"

  @Option(help: ArgumentHelp("Properties of the case as nnU-Net pickles them.", valueName: "pkl"))
  var properties: String

  @Option(help: ArgumentHelp("Where to leave the label map; removed if not given.", valueName: "file"))
  var output: String?

  @Flag(help: "Accepted; the result is JSON always.")
  var json = false

  func run() throws {
    let plans = try Plans(contentsOf: URL(filePath: plans))
    let configuration = try plans.configuration(named: configurationName)
    let bytes = try readRegularFile(URL(filePath: properties), as: "the properties of the case")
    let properties = try CaseProperties(
      pickle: PickleReader.read(bytes, source: properties), source: properties)
    let input = try MappedNumPyFile(URL(filePath: logits))
    guard input.shape.count == 4, input.dataType == .float16 else {
      throw Diagnostic(
        "these are no logits", at: logits, expected: "float16 [K, Z, Y, X]",
        found: "\(input.dataType) \(input.shape)", remedy: "save them as numpy.float16 with numpy.save")
    }
    let target =
      output.map { URL(filePath: $0) }
      ?? FileManager.default.temporaryDirectory.appending(
        path: "lunette-bench-\(UUID().uuidString).nii.gz")
    defer { if output == nil { try? FileManager.default.removeItem(at: target) } }
    let labels = try Self.plainLabels(input.shape[0])

    input.touch()
    let before = try ResidentMemory.now()
    try ResidentMemory.resetPeak()
    var prediction: ExportedPrediction?
    let exportSeconds = try seconds {
      prediction = try Self.export(input, properties, plans, configuration, labels)
    }
    guard let segmentation = prediction?.segmentation else { return }
    let writeSeconds = try seconds {
      try writeLabels(segmentation, to: target, maximumLabel: labels.allLabels.max() ?? 0)
    }
    let after = try ResidentMemory.now()
    printLine([
      ("classes", .integer(input.shape[0])), ("logits", JSON(Array(input.shape.dropFirst()))),
      ("image", JSON(segmentation.shape)), ("export_s", .number(exportSeconds)),
      ("write_s", .number(writeSeconds)), ("total_s", .number(exportSeconds + writeSeconds)),
      ("peak_above_mib", .number(Double(after.peak - before.total) / 1024)),
      ("input_mib", .number(Double(input.byteCount) / 1_048_576)),
      // Less than before where the system took pages of the input back: then the peak says too little.
      ("input_pages_kept", .number(Double(after.files) / Double(max(1, before.files)))),
    ])
  }

  /// The background and a label for each further class.
  private static func plainLabels(_ count: Int) throws -> LabelScheme {
    try LabelScheme(
      entries: (0..<count).map {
        LabelScheme.Entry(name: $0 == 0 ? "background" : "label \($0)", value: .label($0))
      }, regionsClassOrder: nil, source: "lunette-bench export")
  }

  private static func export(
    _ input: MappedNumPyFile, _ properties: CaseProperties, _ plans: Plans,
    _ configuration: PlannedConfiguration, _ labels: LabelScheme
  ) throws -> ExportedPrediction {
    let space = PredictionSpace(properties: properties, plans: plans, configuration: configuration)
    let shape = Array(input.shape.dropFirst())
    let exporter = try LogitsExporter(
      space: space, labels: labels, logitsShape: shape,
      resampling: LogitsResampling(configuration.probabilityResampling, space: space))
    let size = shape[1] * shape[2]
    for row in 0..<shape[0] {
      var values = [Float16](repeating: 0, count: input.shape[0] * size)
      values.withUnsafeMutableBytes { target in
        input.withElements { source in
          for k in 0..<input.shape[0] {
            let first = 2 * (k * shape[0] + row) * size
            UnsafeMutableRawBufferPointer(rebasing: target[2 * k * size..<2 * (k + 1) * size])
              .copyMemory(from: UnsafeRawBufferPointer(rebasing: source[first..<first + 2 * size]))
          }
        }
      }
      try exporter.take(
        row: row, logits: NDArray(shape: [input.shape[0], shape[1], shape[2]], elements: values))
    }
    return try exporter.finish()
  }
}

/// Resident memory of this process as the kernel counts it.
/// - Units: KiB
private struct ResidentMemory {
  var total: Int
  var peak: Int
  var files: Int

  static func now() throws -> ResidentMemory {
    let text = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
    func value(_ key: String) -> Int {
      text.split(separator: "\n").first { $0.hasPrefix(key) }?.split(whereSeparator: { " \t".contains($0) })
        .dropFirst().first.flatMap { Int($0) } ?? 0
    }
    return ResidentMemory(total: value("VmRSS:"), peak: value("VmHWM:"), files: value("RssFile:"))
  }

  /// Lets the peak begin at what is resident now.
  static func resetPeak() throws {
    let file = open("/proc/self/clear_refs", O_WRONLY)
    defer { if file >= 0 { close(file) } }
    guard file >= 0, write(file, "5", 1) == 1 else {
      throw Diagnostic(
        "cannot reset the peak of resident memory", at: "/proc/self/clear_refs",
        found: String(cString: strerror(errno)), remedy: "measure on a Linux with /proc")
    }
  }
}
