// The entry point: everything happens in Program.

import Backends
import Foundation

shortenThreadSpinning()
exit(Program.run(CommandLine.arguments))
