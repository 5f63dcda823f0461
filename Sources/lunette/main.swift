// The entry point: everything happens in Program.

import Foundation

exit(Program.run(CommandLine.arguments))
