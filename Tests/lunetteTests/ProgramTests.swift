// The built program as a user runs it: exit codes, streams, links.

import Foundation
import TestSupport
import Testing

@Suite struct ProgramTests {
  private struct Result {
    var status: Int32
    var output: String
    var errors: String
  }

  /// The program beside the test runner.
  private static let program = URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent()
    .appending(path: "lunette")

  private func run(_ arguments: [String], as program: URL = Self.program) throws -> Result {
    let process = Process()
    process.executableURL = program
    process.arguments = arguments
    process.environment = ["PATH": "/usr/bin:/bin", "HOME": NSTemporaryDirectory()]
    let output = Pipe()
    let errors = Pipe()
    process.standardOutput = output
    process.standardError = errors
    process.standardInput = FileHandle.nullDevice
    try process.run()
    let outputData = try output.fileHandleForReading.readToEnd() ?? Data()
    let errorData = try errors.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    return Result(
      status: process.terminationStatus, output: String(decoding: outputData, as: UTF8.self),
      errors: String(decoding: errorData, as: UTF8.self))
  }

  @Test("Help goes to standard output with exit code 0")
  func help() throws {
    let result = try run(["--help"])
    #expect(result.status == 0)
    #expect(result.output.contains("plan_and_preprocess"))
    #expect(result.errors.isEmpty)
  }

  @Test("info tells format, shape and values, as text and as JSON, and refuses a broken file")
  func info() throws {
    let fixtures = Goldens.repository.appending(path: "Tests/VolumeFormatsTests/Fixtures/formats")
    let text = try run(["info", fixtures.appending(path: "int16.mha").path])
    #expect(text.status == 0 && text.output.contains("MetaImage, int16, zlib"))
    #expect(text.output.contains("3 × 4 × 5 (z, y, x), 1 channel"))
    let json = try run(["info", "--json", fixtures.appending(path: "rgb.png").path])
    #expect(json.status == 0 && json.output.contains("\"channels\": 3"))
    let broken = try run(["info", fixtures.appending(path: "readings.json").path])
    #expect(broken.status == 1 && broken.errors.contains("expected:") && broken.output.isEmpty)
    #expect(try run(["info"]).status == 2)
  }

  @Test("view draws a sheet, shows blocks where there is no terminal, and refuses what is no axis")
  func view() throws {
    let fixtures = Goldens.repository.appending(path: "Tests/VolumeFormatsTests/Fixtures/formats")
    let image = fixtures.appending(path: "int16.mha").path
    let shown = try run(["view", image, "--slices", "2"])
    #expect(shown.status == 0 && shown.output.contains("▀") && shown.output.contains("3 × 4 × 5 voxels"))
    let folder = try Goldens.temporaryFolder("view")
    defer { try? FileManager.default.removeItem(at: folder) }
    let sheet = folder.appending(path: "sheet.png")
    #expect(try run(["view", image, "-o", sheet.path, "--axis", "coronal"]).status == 0)
    #expect([UInt8](try Data(contentsOf: sheet)).starts(with: [0x89, 0x50, 0x4E, 0x47]))
    let wrong = try run(["view", image, "--axis", "axil"])
    #expect(wrong.status == 1 && wrong.errors.contains("did you mean axial?"))
  }

  @Test("A wrong flag is a usage error that names the nearest")
  func wrongFlag() throws {
    let result = try run(["train", "4", "3d_fullres", "0", "--npx"])
    #expect(result.status == 2)
    #expect(result.errors.hasPrefix("lunette: "))
    #expect(result.errors.contains("--npz"))
    #expect(result.output.isEmpty)
  }

  @Test("A missing folder setting is a failure that names both ways to set it")
  func missingRoot() throws {
    let result = try run(["extract_fingerprint", "-d", "Dataset004_Hippocampus"])
    #expect(result.status == 1)
    #expect(result.errors.hasPrefix("lunette: "))
    #expect(result.errors.contains("--root"))
    #expect(result.errors.contains("nnUNet_raw"))
  }

  @Test("A fold that is neither all nor a number fails with a remedy")
  func wrongFold() throws {
    let result = try run(["train", "4", "3d_fullres", "first", "-device", "cpu"])
    #expect(result.status == 1)
    #expect(result.errors.contains("\"first\""))
    #expect(result.errors.contains("`all`"))
  }

  @Test("A negative fold is refused as a fold, not as a missing argument")
  func negativeFold() throws {
    let result = try run(["train", "4", "3d_fullres", "-1"])
    #expect(result.status == 2)
    #expect(result.errors.contains("\"-1\" is no fold"))
  }

  @Test(
    "A trainer file with a mistake is answered with its line and a hint",
    arguments: [
      ("return lunette.trainer{ name=\"T\",\n  epoch=5 }", "epochs", "T.lua:"),
      ("return lunette.trainer{ name=\"T\"\n  epochs=5 }", "expected", "T.lua:2:"),
      ("local x = nil\nreturn x.y", "nil value", "T.lua:2:"),
    ])
  func brokenTrainer(text: String, hint: String, place: String) throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
    defer { try? FileManager.default.removeItem(at: folder) }
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    try Data(text.utf8).write(to: folder.appending(path: "T.lua"))
    let result = try run([
      "train", "Dataset999_Phantom", "3d_fullres", "0", "-tr", "T", "--trainers", folder.path, "--root",
      folder.path,
    ])
    #expect(result.status == 1)
    #expect(result.errors.contains(hint), "\(result.errors)")
    #expect(result.errors.contains(place), "\(result.errors)")
  }

  @Test("A trainer that does not exist is named")
  func wrongTrainer() throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
    defer { try? FileManager.default.removeItem(at: folder) }
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    try Data("return {}".utf8).write(to: folder.appending(path: "MyTrainer.lua"))
    let result = try run([
      "train", "Dataset004_Hippocampus", "2d", "0", "-tr", "MyTrainr", "--trainers", folder.path, "--root",
      folder.path,
    ])
    #expect(result.status == 1)
    #expect(result.errors.contains("did you mean -tr MyTrainer?"))
  }

  @Test("Doctor names every library with a version")
  func doctor() throws {
    let result = try run(["doctor"])
    #expect(result.status == 0)
    for name in [
      "Lua", "readline", "zlib", "niftilib", "oneDNN", "OpenBLAS", "cairo", "threads", "memory", "GPU",
    ] {
      #expect(result.output.contains(name), "\(name)")
    }
  }

  @Test("Links with nnU-Net's names answer --help as the command they name")
  func links() throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
    defer { try? FileManager.default.removeItem(at: folder) }
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let names = try run(["version", "--nnunet-names"]).output.split(separator: "\n").map(String.init)
    #expect(names.contains("train") && names.contains("predict") && !names.contains("demo"))
    for name in names {
      let link = folder.appending(path: "nnUNetv2_" + name)
      try FileManager.default.createSymbolicLink(at: link, withDestinationURL: Self.program)
      let result = try run(["--help"], as: link)
      #expect(result.status == 0)
      #expect(result.output.contains("lunette \(name)"), "\(name)")
    }
  }
}
