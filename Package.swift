// swift-tools-version: 6.2
// The layers of Docs/Architecture.md as targets: a target may depend only on targets above it here.
import PackageDescription

let settings: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
]

/// A Swift target of ours, with its tests beside it when `tested`; `fixtures` says that these have a Fixtures folder.
func module(
  _ name: String, _ dependencies: [Target.Dependency] = [], tested: Bool = true, fixtures: Bool = false
) -> [Target] {
  var targets: [Target] = [.target(name: name, dependencies: dependencies, swiftSettings: settings)]
  if tested {
    targets.append(
      .testTarget(
        name: "\(name)Tests", dependencies: [.byName(name: name), "TestSupport"] + dependencies,
        exclude: fixtures ? ["Fixtures"] : [], swiftSettings: settings))
  }
  return targets
}

let package = Package(
  name: "lunette",
  products: [
    .executable(name: "lunette", targets: ["lunette"]),
    .executable(name: "lunette-bench", targets: ["lunette-bench"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2")
  ],
  targets: [
    // 0: C libraries of the system, and C of ours
    .systemLibrary(name: "CLua"),
    .target(name: "CReadline", linkerSettings: [.linkedLibrary("readline")]),
    .systemLibrary(name: "CZlib"),
    .systemLibrary(name: "CCrypto"),
    .target(name: "CNifti"),
    .target(name: "CPNG", linkerSettings: [.linkedLibrary("png")]),
    .target(name: "CJPEG", linkerSettings: [.linkedLibrary("jpeg")]),
    .target(name: "CTIFF", linkerSettings: [.linkedLibrary("tiff")]),
    .systemLibrary(name: "COpenBLAS"),
    .systemLibrary(name: "COneDNN"),
    .systemLibrary(name: "CCairo"),
    .systemLibrary(name: "CMarkdown"),
    .target(name: "CLuaShims", dependencies: ["CLua"], linkerSettings: [.linkedLibrary("lua5.4")]),
    .target(name: "CKernels", linkerSettings: [.linkedLibrary("gomp")]),
  ]
    // 1: values
    + module("Reporting")
    + module("Tensors")
    + module("Volumes", ["Tensors"])
    // 2: services
    + module("Backends", ["Tensors", "Reporting", "COneDNN", "COpenBLAS", "CKernels"])
    + module("Archives", ["Tensors", "Reporting", "CZlib", "CCrypto"], fixtures: true)
    + module(
      "VolumeFormats",
      ["Archives", "Volumes", "Tensors", "Reporting", "CNifti", "CPNG", "CJPEG", "CTIFF"], fixtures: true)
    + module("LuaHost", ["Reporting", "CLua", "CLuaShims"])
    // 3: parts
    + module("Networks", ["Backends", "Archives", "Tensors", "Reporting"], fixtures: true)
    + module("Augmentation", ["Archives", "Volumes", "Tensors", "Reporting", "CKernels"], fixtures: true)
    + module("Datasets", ["VolumeFormats", "Archives", "Volumes", "Tensors", "Reporting", "CKernels"])
    + module(
      "Evaluation", ["Datasets", "VolumeFormats", "Archives", "Volumes", "Tensors", "Reporting"], fixtures: true)
    + module("Figures", ["Archives", "Volumes", "Tensors", "Reporting", "CCairo"])
    // 4: method
    + module("Planning", ["Datasets", "VolumeFormats", "Archives", "Volumes", "Tensors", "Reporting", "CKernels"])
    + module(
      "Preprocessing",
      ["Planning", "Datasets", "VolumeFormats", "Archives", "Volumes", "Tensors", "Reporting", "CKernels"])
    + module(
      "Training",
      [
        "Preprocessing", "Planning", "Datasets", "Augmentation", "Networks", "Backends", "Archives",
        "Volumes",
        "Tensors", "Reporting",
      ])
    + module(
      "Inference",
      [
        "Preprocessing", "Planning", "Datasets", "Networks", "Backends", "VolumeFormats", "Archives",
        "Volumes",
        "Tensors", "Reporting", "CKernels",
      ])
    // 5: façade
    + module(
      "Pipelines",
      [
        "Training", "Inference", "Preprocessing", "Planning", "Evaluation", "Figures", "Datasets",
        "Augmentation",
        "Networks", "Backends", "VolumeFormats", "Archives", "Volumes", "Tensors", "Reporting",
      ])
    // 6: hosts
    + module(
      "Scripting",
      [
        "LuaHost", "Pipelines", "Training", "Inference", "Preprocessing", "Planning", "Evaluation", "Figures",
        "Datasets", "Augmentation", "Networks", "Backends", "VolumeFormats", "Archives", "Volumes", "Tensors",
        "Reporting", "CReadline", "CMarkdown",
      ])
    + [
      .executableTarget(
        name: "lunette",
        dependencies: [
          "Scripting", "Pipelines", "Training", "Inference", "Preprocessing", "Planning", "Evaluation",
          "Figures",
          "Datasets", "Augmentation", "Networks", "Backends", "VolumeFormats", "Archives", "Volumes",
          "Tensors",
          "Reporting", "LuaHost",
          .product(name: "ArgumentParser", package: "swift-argument-parser"),
        ],
        swiftSettings: settings),
      .executableTarget(
        name: "lunette-bench",
        dependencies: [
          "Pipelines", "Training", "Inference", "Augmentation", "Preprocessing", "Planning", "Datasets",
          "Networks",
          "Backends", "VolumeFormats", "Archives", "Volumes", "Tensors", "Reporting",
          .product(name: "ArgumentParser", package: "swift-argument-parser"),
        ],
        swiftSettings: settings),
      .testTarget(
        name: "lunetteTests",
        dependencies: ["lunette", "Pipelines", "Planning", "Archives", "Datasets", "Reporting", "TestSupport"],
        swiftSettings: settings),
      .target(
        name: "TestSupport", dependencies: ["Archives", "Tensors"], path: "Tests/TestSupport",
        swiftSettings: settings),
    ],
  swiftLanguageModes: [.v6]
)
