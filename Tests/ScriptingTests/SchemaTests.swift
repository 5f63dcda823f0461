// One schema gives validation, defaults, help and pages.

import LuaHost
import Reporting
import Scripting
import Testing

@Suite("Schema")
struct SchemaTests {
  static let train = FunctionSchema(
    "lunette.train", "Trains a network.",
    parameters: [
      .required("plan", .string, "the plan"),
      ParameterSchema("epochs", .integer, default: 1000, in: 1...100_000, "how many epochs"),
      ParameterSchema("rate", .number, default: 0.01, "the learning rate"),
      ParameterSchema("mode", .choice(["fast", "exact"]), default: "exact", "how"),
      ParameterSchema("sizes", .list(.integer), "some sizes"),
      ParameterSchema(
        "rules", .table([ParameterSchema("patch_size", .override("(ctx, default)"), "the patch size")]),
        "overrides"),
      ParameterSchema(
        "observe", .table([ParameterSchema("epoch_end", .observe("(state)"), "each epoch")]), "hooks"),
    ], example: "lunette.train{ plan=\"x\" }")

  let state: LuaState

  init() throws { state = try LuaState() }

  private func arguments(_ source: String) throws -> Arguments {
    try Arguments(state.run("return " + source, named: "=t"), for: Self.train, in: state)
  }

  private func message(_ source: String) -> String {
    do {
      _ = try arguments(source)
      return "accepted"
    } catch { return "\(error)" }
  }

  @Test("Named and positional forms give the same, with defaults filled in")
  func forms() throws {
    let named = try arguments("{ plan = 'p', epochs = 5.0 }")
    #expect(try named.integer("epochs") == 5)
    #expect(try named.number("rate") == 0.01)
    #expect(try named.string("mode") == "exact")
    #expect(!named.has("sizes"))
    #expect(try arguments("'p'").string("plan") == "p")
  }

  @Test("An unknown name is refused with the nearest name and its documentation")
  func unknownName() {
    let text = message("{ plan = 'p', epoch = 5 }")
    #expect(text.contains("unknown argument 'epoch'"))
    #expect(text.contains("did you mean 'epochs'?"))
    #expect(text.contains("how many epochs"))
    #expect(message("{ plan = 'p', rules = { patchsize = print } }").contains("'patch_size'"))
  }

  @Test(
    "Wrong types, ranges, choices and gaps are refused, naming argument, expected and found",
    arguments: [
      ("{ plan = 'p', epochs = 0 }", "out of range"), ("{ plan = 'p', epochs = 1.5 }", "wrong type"),
      ("{ plan = 'p', epochs = '5' }", "the string \"5\""),
      ("{ plan = 'p', mode = 'fats' }", "did you mean \"fast\"?"),
      ("{ plan = 'p', sizes = { 1, 'x' } }", "sizes[2]"),
      ("{ plan = 'p', sizes = { 1, nil, 3, n = 2 } }", "gaps"),
      ("{ plan = 'p', rate = 0/0 }", "finite"), ("{ epochs = 5 }", "'plan' is missing"),
      ("{ 'p', plan = 'q' }", "without a name"), ("'p', 3", "too many arguments"),
      ("{ plan = 'p', observe = { epoch_end = 3 } }", "observe.epoch_end"),
    ])
  func refusals(source: String, expected: String) {
    #expect(message(source).contains(expected), "\(message(source))")
  }

  @Test("The help text names every argument with type, default and range")
  func documentation() {
    let text = Self.train.documentation
    #expect(text.contains("epochs (integer, 1 to 100000, default 1000): how many epochs"))
    #expect(text.contains("patch_size (override (ctx, default)): the patch size"))
    #expect(text.contains("epoch_end (observe (state)): each epoch"))
  }
}
