-- Purpose: normalise every channel to 0 to 1, where the channel names would ask for something else.
-- Data: the phantom, made in ./lunette-demo; another dataset's number or name as the argument.
-- last line: normalization: RescaleTo01Normalization in place of [A-Za-z0-9]+
if not arg[1] then lunette.roots{ root="lunette-demo" } end
local ds = arg[1] and lunette.dataset(tonumber(arg[1]) or arg[1]) or lunette.phantom()

local plan = lunette.plan{
  dataset = ds, name = "nnUNetPlans_unit_range",
  rules = {
    normalization = function(ctx, default)
      local choice = default()
      for channel in ipairs(ctx.channels) do
        choice.schemes[channel], choice.use_mask[channel] = "RescaleTo01Normalization", false
      end
      return choice
    end,
  },
}

print(plan:why("3d_fullres.normalization_schemes"))
local function show(p) return p.configurations["3d_fullres"].normalization_schemes[1] end
print("normalization: " .. show(plan) .. " in place of " .. show(lunette.plan(ds)))
