// `lunette.reference`: the pages that are made from the schemas.

import LuaHost

extension Binding {
  static let reference: Binding = Binding(
    FunctionSchema(
      "lunette.reference", "Gives the reference of all functions and types as text.",
      parameters: [
        ParameterSchema(
          "format", .choice(["markdown", "stubs"]), default: "markdown",
          "a Markdown page, or LuaCATS stubs for editors")
      ], returns: "the text", example: "io.write(lunette.reference(\"stubs\"))")
  ) { arguments in
    let isStubs = try arguments.string("format") == "stubs"
    return [.string(isStubs ? Catalog.standard.stubs : Catalog.standard.markdownReference)]
  }
}
