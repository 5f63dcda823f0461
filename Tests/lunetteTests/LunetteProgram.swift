// The built program, started as a user starts it: with nothing of this process's surroundings.

import Foundation

enum LunetteProgram {
  private static let url = URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent()
    .appending(path: "lunette")

  /// Starts a command without input; what it prints is dropped.
  static func start(_ arguments: [String]) throws -> Process {
    let process = Process()
    process.executableURL = url
    process.arguments = arguments
    process.environment = ["PATH": "/usr/bin:/bin", "HOME": NSTemporaryDirectory()]
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    process.standardInput = FileHandle.nullDevice
    try process.run()
    return process
  }

  /// Runs a command and gives its exit status.
  static func finish(_ arguments: [String]) throws -> Int32 {
    let process = try start(arguments)
    process.waitUntilExit()
    return process.terminationStatus
  }
}
