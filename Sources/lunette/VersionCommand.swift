// `lunette version`, and the lists of commands that scripts ask for.

import ArgumentParser
import Reporting

/// The program's version.
enum Version {
  static let number = ProgramVersion.number
  static let text = "lunette \(number), compatible with nnU-Net 2.8.1"
}

/// Prints the version.
struct VersionCommand: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "version", abstract: "Print the version.")

  @Flag(name: .switched("commands"), help: .hidden)
  var listsCommands = false

  @Flag(name: .switched("nnunet-names"), help: .hidden)
  var listsNNUNetNames = false

  func run() {
    if listsCommands {
      CommandNames.all.forEach(Console.print)
    } else if listsNNUNetNames {
      CommandNames.all.filter(CommandNames.ofNNUNet.contains).forEach(Console.print)
    } else {
      Console.print(Version.text)
    }
  }
}
