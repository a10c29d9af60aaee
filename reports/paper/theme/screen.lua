-- What stands under a heading of the class `screen` is for the screen alone: other formats than
-- HTML go without it, and links into it become text. Runs behind the numbering, so that a number is
-- the same everywhere; such a part comes last.

if FORMAT:match 'html' then return {} end

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

local function ids_of(blocks)
  local ids = {}
  local function note(element) ids['#' .. element.identifier] = true end
  blocks:walk {Header = note, Div = note, Span = note, Figure = note}
  return ids
end

function Pandoc(doc)
  local kept, dropped = parted(doc.blocks)
  local gone = ids_of(dropped)
  doc.blocks = kept:walk {
    Link = function(link)
      if gone[link.target] then return link.content end
    end
  }
  return doc
end
