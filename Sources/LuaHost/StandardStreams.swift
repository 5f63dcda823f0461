// Text to the C standard streams, in order with what Lua's io library writes.

import CLuaShims

package enum StandardStreams {
  package static func writeOutput(_ text: String) {
    var text = text
    text.withUTF8 { nnl_write_stdout($0.baseAddress, $0.count) }
  }

  package static func writeError(_ text: String) {
    var text = text
    text.withUTF8 { nnl_write_stderr($0.baseAddress, $0.count) }
  }
}
