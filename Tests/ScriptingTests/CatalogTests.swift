// Every binding says what it does and shows a call that compiles.

import Foundation
import LuaHost
import Scripting
import TestSupport
import Testing

@Suite("Catalog")
struct CatalogTests {
  static let functions: [FunctionSchema] =
    Catalog.standard.functions.map(\.schema) + Catalog.standard.objects.flatMap { $0.methods.map(\.schema) }

  @Test("Every function has a summary, an example that compiles, and help on every argument")
  func functionHelp() throws {
    let state = try LuaState()
    for schema in Self.functions {
      #expect(schema.summary.count > 10, "\(schema.name) has no summary")
      #expect(schema.example.contains(schema.shortName), "\(schema.name) has no example of its own")
      #expect(throws: Never.self, "the example of \(schema.name)") {
        try state.compile(schema.example, named: "=\(schema.name)")
      }
      for parameter in flattened(schema.parameters) {
        #expect(parameter.help.count > 5, "\(schema.name): \(parameter.name) has no help")
      }
    }
  }

  @Test("Every object type has a summary, an example that compiles, and help on every field")
  func objectHelp() throws {
    let state = try LuaState()
    for object in Catalog.standard.objects {
      #expect(object.summary.count > 10, "\(object.name) has no summary")
      #expect(throws: Never.self, "the example of \(object.name)") {
        try state.compile(object.example, named: "=\(object.name)")
      }
      for property in object.properties {
        #expect(property.help.count > 5, "\(object.name).\(property.name)")
      }
      #expect(Set(object.memberNames).count == object.memberNames.count)
      for method in object.methods { #expect(method.schema.name.hasPrefix(object.name + ":")) }
    }
  }

  @Test("The functions are where their names say, and their help is found")
  func installation() throws {
    let session = try Session(write: { _ in })
    for binding in Catalog.standard.functions {
      #expect(try session.inspect(binding.schema.name) == binding.schema.documentation)
    }
    #expect(try session.state.run("return require('lunette') == lunette", named: "=t")[0].boolean == true)
  }

  @Test("Reference page and stubs name every function, and the stubs are Lua")
  func pages() throws {
    let markdown = Catalog.standard.markdownReference
    let stubs = Catalog.standard.stubs
    for schema in Self.functions {
      #expect(markdown.contains(schema.name))
      #expect(stubs.contains("function \(schema.name)("))
    }
    try LuaState().compile(stubs, named: "=stubs")
  }

  @Test("The written reference and stubs are those of the schemas")
  func drift() throws {
    let pages = [
      ("Docs/Reference/lua-api.md", Catalog.standard.markdownReference),
      ("Recipes/.types/lunette.lua", Catalog.standard.stubs),
    ]
    for (path, expected) in pages {
      let text = try String(contentsOf: Goldens.repository.appending(path: path), encoding: .utf8)
      #expect(text == expected, "run Scripts/generate-lua-reference")
    }
  }

  private func flattened(_ parameters: [ParameterSchema]) -> [ParameterSchema] {
    parameters.flatMap { parameter -> [ParameterSchema] in
      if case .table(let members) = parameter.type { return [parameter] + flattened(members) }
      return [parameter]
    }
  }
}
