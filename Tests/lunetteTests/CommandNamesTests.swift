// How the words of a command line find their command.

import Reporting
import Testing
import lunette

@Suite struct CommandNamesTests {
  @Test("A link named like nnU-Net's program gives the command")
  func link() throws {
    #expect(
      try CommandNames.expand(["/usr/bin/nnUNetv2_train", "4", "2d", "0"]) == ["train", "4", "2d", "0"])
    #expect(try CommandNames.expand(["nnUNetv2_predict", "--help"]) == ["predict", "--help"])
  }

  @Test("The prefix may be typed behind the program's name")
  func prefix() throws {
    #expect(try CommandNames.expand(["lunette", "nnUNetv2_train", "4"]) == ["train", "4"])
  }

  @Test("A mistyped command names the nearest")
  func typo() {
    let error = #expect(throws: Diagnostic.self) { try CommandNames.expand(["lunette", "preproces"]) }
    #expect(error?.remedy?.contains("lunette preprocess") == true)
  }

  @Test(
    "Every command of nnU-Net 2.8.1 is here, also under its old name",
    arguments: [
      "plan_and_preprocess", "extract_fingerprint", "plan_experiment", "preprocess", "train", "predict",
      "predict_from_modelfolder", "find_best_configuration", "accumulate_crossval_results",
      "determine_postprocessing", "apply_postprocessing", "ensemble", "evaluate_folder", "evaluate_simple",
      "plot_overlay_pngs", "convert_MSD_dataset", "convert_old_nnUNet_dataset",
      "move_plans_between_datasets", "export_model_to_zip", "install_pretrained_model_from_zip",
      "download_pretrained_model_by_url",
    ])
  func complete(name: String) throws {
    #expect(try CommandNames.expand(["nnUNetv2_" + name]) == [name])
    #expect(try CommandNames.expand(["lunette", name]) == [name])
  }

  @Test("No words, and options alone, are left to the parser", arguments: [[], ["--help"], ["--version"]])
  func options(words: [String]) throws {
    #expect(try CommandNames.expand(["lunette"] + words) == words)
  }
}

@Suite struct CommandParsingTests {
  @Test("nnU-Net's own command lines parse")
  func tutorialLines() throws {
    let lines = [
      "plan_and_preprocess -d 4 --verify_dataset_integrity",
      "plan_and_preprocess -d 4 5 -fpe DatasetFingerprintExtractor -npfp 8 --no_pp --clean -pl ExperimentPlanner "
        + "-gpu_memory_target 24 -preprocessor_name DefaultPreprocessor -overwrite_target_spacing 1 1.5 1 "
        + "-overwrite_plans_name P -c 2d 3d_fullres -np 8 4 --verbose --no_pbar",
      "extract_fingerprint -d 4 -fpe DatasetFingerprintExtractor -np 8 --verify_dataset_integrity --clean --verbose "
        + "--no_pbar",
      "plan_experiment -d 4 -pl ExperimentPlanner -gpu_memory_target 8 -overwrite_target_spacing 1 1 1",
      "plan_experiment --fingerprint f.json --dataset_json d.json -pl ExperimentPlanner -o plans.json",
      "preprocess -d 4 -plans_name nnUNetPlans -c 3d_fullres -np 4 --verbose --no_pbar",
      "train 4 3d_fullres 0 -tr NAME --npz -device cpu", "train 4 3d_fullres 0 --c",
      "train Dataset004_Hippocampus 2d all --val --val_best -p nnUNetPlans -num_gpus 2",
      "train 4 2d 0 -pretrained_weights w.pth --disable_checkpointing",
      "predict -i in -o out -d 4 -c 3d_fullres -f 0 1 2 -tr NAME -p nnUNetPlans -chk checkpoint_best.pth",
      "predict -i in -o out -d 4 -c 2d -f all -step_size 0.5 --disable_tta --verbose --save_probabilities "
        + "--continue_prediction -npp 3 -nps 3 -prev_stage_predictions p -num_parts 2 -part_id 1 -device cuda "
        + "--disable_progress_bar --not_on_device",
      "evaluate_folder gt pred -djfile d.json -pfile p.json -o s.json -np 8 --chill",
      "evaluate_folder gt pred -djfile d.json -pfile p.json --surface -tolerance 2.5 --volumes --strict_json",
      "evaluate_simple gt pred -l 1 2 3 -il 4 -o s.json -np 8 --chill",
      "evaluate_simple gt pred -l 1 --csv c.csv",
      "compare_results a b -metric HD95 -o c.json --csv t.csv --cases c.csv --show 5 --resamples 100 --seed 1",
    ]
    for line in lines {
      let words = line.split(separator: " ").map(String.init)
      #expect(throws: Never.self, "\(line)") { try Program.parse(words) }
    }
  }

  @Test("Lists end at the next option and keep their values")
  func lists() throws {
    let words = "predict -i in -o out -d 4 -c 3d_fullres -f 0 2 -chk best".split(separator: " ").map(
      String.init)
    let command = try #require(try Program.parse(words) as? PredictCommand)
    #expect(command.options.folds == ["0", "2"])
    #expect(command.options.checkpoint == "best")
    #expect(command.options.stepSize == 0.5)
  }

  @Test(
    "Contradictions are refused",
    arguments: [
      "train 4 2d 0 --c --val", "train 4 2d 0 --val_best --disable_checkpointing", "train 4 2d 0 -num_gpus 0",
      "train 4 2d", "plan_experiment", "plan_experiment --fingerprint f.json",
      "predict -i a -o b -d 4 -c 2d -step_size 2",
      "predict -i a -o b -d 4 -c 2d -num_parts 2 -part_id 2", "train 4 2d 0 --no_such_flag",
    ])
  func contradictions(line: String) {
    #expect(throws: (any Error).self) {
      try Program.parse(line.split(separator: " ").map(String.init))
    }
  }
}
