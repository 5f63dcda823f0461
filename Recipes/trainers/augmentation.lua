-- nnU-Net's trainers that differ in their augmentation. NoMirroring is in lengths.lua.
-- Trainers: nnUNetTrainerNoDA nnUNetTrainer_noDummy2DDA nnUNetTrainer_DASegOrd0 nnUNetTrainer_DASegOrd0_NoMirroring
-- Trainers: nnUNetTrainer_onlyMirror01 nnUNetTrainer_onlyMirror01_1500ep nnUNetTrainer_onlyMirror01_DASegOrd0
-- Trainers: nnUNetTrainerDA5 nnUNetTrainerDA5ord0 nnUNetTrainerDA5Segord0 nnUNetTrainerDA5_10epochs
local trainer = lunette.trainer

-- What a cascade corrupts: every label rather than half of them, as in nnU-Net's variants.
local function corrupt_every_label(aug)
  for _, name in ipairs{ "random_binary_operator", "remove_random_component" } do
    if aug:has(name) then aug = aug:set(name, { label_probability=1 }) end
  end
  return aug
end

-- Only what makes targets of labels.
local function none(aug)
  local kept = { remove_label=true, move_seg_as_one_hot=true, regions=true, deep_supervision=true }
  for _, step in ipairs(aug:list()) do
    if not kept[step.name] then aug = aug:without(step.name) end
  end
  return aug
end

-- Anisotropic patches are turned in space like all others, by 30 degrees.
local function no_dummy_2d(aug)
  if not aug.spatial.dummy_2d then return aug end
  return aug:set("spatial", { dummy_2d=false, rotation_degrees={ -30, 30 } }):set("low_resolution", { ignored_axes={} })
end

local function nearest_labels(aug) return corrupt_every_label(aug:set("spatial", { label_order=0 })) end

-- The axes of the extent that most axes have, if there are two of them.
local function equal_axes(patch)
  local most, counts, axes = 0, {}, {}
  for i, extent in ipairs(patch) do
    counts[i] = 0
    for _, other in ipairs(patch) do if other == extent then counts[i] = counts[i] + 1 end end
    if counts[i] > most then most = counts[i] end
  end
  for i, count in ipairs(counts) do if count == most then axes[#axes + 1] = i - 1 end end
  return most > 1 and axes or nil
end

-- Much more of everything.
local function da5(aug)
  local ignored = aug.low_resolution.ignored_axes
  aug = aug:set("spatial", { rotation_probability=0.4, rotation_axis_probability=0.5, scaling_range={ 0.7, 1.43 },
    scaling_per_axis=true, smallest_zoom=0.7 })
  for _, name in ipairs{ "gaussian_noise", "gaussian_blur", "brightness", "contrast", "low_resolution",
    "gamma_inverted", "gamma" } do aug = aug:without(name) end
  local last = "spatial"
  local function add(transform, name)
    name = name or transform.name
    aug = aug:insert_after(last, transform, name)
    last = name
  end
  local axes = equal_axes(aug.patch_size)
  if axes then
    add(lunette.transform.quarter_turn{ axes=axes })
    add(lunette.transform.transpose{ axes=axes })
  end
  add(lunette.transform.median_or_blur{ blur_sigma_range={ 0.3, 1.5 }, blur_synchronizes_axes=true })
  add(lunette.transform.gaussian_noise{})
  add(lunette.transform.brightness_additive{})
  add(lunette.transform.contrast_in_or_out{
    clipped_probability=0.2, clipped_channel_probability=0.5, clipped_factor_range={ 0.5, 2 },
    unclipped_probability=0.2, unclipped_channel_probability=0.5, unclipped_factor_range={ 0.5, 2 } }, "contrast")
  add(lunette.transform.low_resolution{ probability=0.15, zoom_range={ 0.25, 1 }, ignored_axes=ignored })
  add(lunette.transform.gamma_inverted{})
  add(lunette.transform.gamma_inverted{}, "gamma_inverted_again")
  if aug:has("mirror") then last = "mirror" end
  add(lunette.transform.blank_rectangle{})
  add(lunette.transform.brightness_gradient{})
  add(lunette.transform.local_gamma{})
  add(lunette.transform.sharpening{})
  return corrupt_every_label(aug)
end

local function da5_nearest(aug) return da5(aug):set("spatial", { image_order=0, label_order=0 }) end
local function da5_nearest_labels(aug) return da5(aug):set("spatial", { label_order=0 }) end

-- The first two axes of three, the first of two: counted from the last, axes that are not there are left out.
local first_axes = { -3, -2 }

return {
  trainer{ name="nnUNetTrainerNoDA", mirror_axes={}, augmentation=none },
  trainer{ name="nnUNetTrainer_noDummy2DDA", augmentation=no_dummy_2d },
  trainer{ name="nnUNetTrainer_DASegOrd0", augmentation=nearest_labels },
  trainer{ name="nnUNetTrainer_DASegOrd0_NoMirroring", mirror_axes={}, augmentation=nearest_labels },
  trainer{ name="nnUNetTrainer_onlyMirror01", mirror_axes=first_axes },
  trainer{ name="nnUNetTrainer_onlyMirror01_1500ep", mirror_axes=first_axes, epochs=1500 },
  trainer{ name="nnUNetTrainer_onlyMirror01_DASegOrd0", mirror_axes=first_axes, augmentation=nearest_labels },
  trainer{ name="nnUNetTrainerDA5", augmentation=da5 },
  trainer{ name="nnUNetTrainerDA5_10epochs", augmentation=da5, epochs=10 },
  trainer{ name="nnUNetTrainerDA5ord0", augmentation=da5_nearest },
  trainer{ name="nnUNetTrainerDA5Segord0", augmentation=da5_nearest_labels },
}
