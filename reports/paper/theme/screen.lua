-- What is for the screen alone: a Div of the class `screen`, or all under a heading of that class.
-- Other formats than HTML go without it, and links into it become text. A module of article.lua.

-- The top-level blocks that stay in every format, and those under headings for the screen.
local function parted(blocks)
  local kept, dropped, level = pandoc.Blocks {}, pandoc.Blocks {}, nil
  for _, block in ipairs(blocks) do
    if block.t == 'Header' then
      if level and block.level <= level then level = nil end
      if not level and block.classes:includes 'screen' then level = block.level end
    end
    (level and dropped or kept):insert(block)
  end
  return kept, dropped
end

local function is_screen(div)
  return div.classes:includes 'screen'
end

-- The ids of all that is for the screen alone, as a set of '#id'.
local function ids(blocks)
  local found = {}
  local function note(element) found['#' .. element.identifier] = true end
  local all = {Header = note, Div = note, Span = note, Figure = note}
  local kept, dropped = parted(blocks)
  dropped:walk(all)
  kept:walk {Div = function(div) if is_screen(div) then pandoc.Blocks({div}):walk(all) end end}
  return found
end

-- The blocks of a format that is no screen; `gone`: the ids of what it goes without.
local function without(blocks, gone)
  return parted(blocks):walk {
    Div = function(div) if is_screen(div) then return {} end end
  }:walk {
    Link = function(link) if gone[link.target] then return link.content end end
  }
end

return {ids = ids, without = without}
