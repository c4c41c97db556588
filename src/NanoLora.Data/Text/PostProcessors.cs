namespace NanoLora.Data;

/// <summary>Puts what a model expects around texts, and joins two. Named as in tokenizer.json.</summary>
internal abstract class PostProcessor
{
    /// <summary>How many tokens are added to one text, or to two.</summary>
    public virtual int Added(int texts) => 0;

    /// <summary>The rows in order, which are then joined.</summary>
    /// <param name="rows">One text or two, or what an earlier processor has made of them.</param>
    /// <param name="addSpecialTokens">Whether special tokens are asked for.</param>
    public abstract List<TokenRow> Apply(List<TokenRow> rows, bool addSpecialTokens);
}

/// <summary>Several, one after the other.</summary>
internal sealed class PostProcessorSequence(IReadOnlyList<PostProcessor> processors) : PostProcessor
{
    public override int Added(int texts) => processors.Sum(p => p.Added(texts));

    public override List<TokenRow> Apply(List<TokenRow> rows, bool addSpecialTokens)
    {
        foreach (var processor in processors) rows = processor.Apply(rows, addSpecialTokens);
        return rows;
    }
}

/// <summary>A part of a template: text A or B, or special tokens.</summary>
/// <param name="Text">0 for A, 1 for B, -1 for special tokens.</param>
/// <param name="Special">Their ids and what they are called.</param>
/// <param name="Type">The type that it gives.</param>
internal sealed record TemplatePart(int Text, IReadOnlyList<(int Id, string Token)> Special, int Type);

/// <summary>Texts and special tokens in the order of a template.</summary>
internal sealed class TemplateProcessor(IReadOnlyList<TemplatePart> single, IReadOnlyList<TemplatePart> pair) : PostProcessor
{
    public override int Added(int texts) => (texts == 1 ? single : pair).Sum(static p => p.Special.Count);

    public override List<TokenRow> Apply(List<TokenRow> rows, bool addSpecialTokens)
    {
        var y = new List<TokenRow>();
        foreach (var part in rows.Count == 1 ? single : pair)
        {
            if (part.Text >= 0)
            {
                rows[part.Text].SetType(part.Type);
                y.Add(rows[part.Text]);
            }
            else if (addSpecialTokens)
            {
                var row = new TokenRow();
                foreach (var (id, token) in part.Special) row.AddSpecial(id, token, part.Type);
                y.Add(row);
            }
        }
        return y;
    }
}

/// <summary>Takes the white space at the ends of tokens out of their offsets.</summary>
/// <param name="addPrefixSpace">Whether a first token's only space was put in front, and so is not in the text.</param>
internal sealed class ByteLevelProcessor(bool addPrefixSpace) : PostProcessor
{
    public override List<TokenRow> Apply(List<TokenRow> rows, bool addSpecialTokens)
    {
        foreach (var row in rows)
        {
            Trim(row);
            foreach (var part in row.Overflowing) Trim(part);
        }
        return rows;
    }

    private void Trim(TokenRow row)
    {
        for (var i = 0; i < row.Ids.Count; i++)
        {
            var token = row.Tokens[i];
            int leading = 0, trailing = 0;
            while (leading < token.Length && IsSpace(token[leading])) leading++;
            while (trailing < token.Length && IsSpace(token[^(trailing + 1)])) trailing++;
            var (start, end) = row.Offsets[i];
            if (leading > 0)
            {
                if ((i == 0 || start == 0) && addPrefixSpace && leading == 1) leading = 0;
                start = Math.Min(start + leading, end);
            }
            if (trailing > 0 && end >= trailing) end = Math.Max(end - trailing, start);
            row.Offsets[i] = (start, end);
        }
    }

    private static bool IsSpace(char c) => c == 'Ġ' || CodePoints.IsWhiteSpace(c);
}

/// <summary>All tokens have one type, as RoBERTa's have.</summary>
internal sealed class OneTypeProcessor : PostProcessor
{
    public override List<TokenRow> Apply(List<TokenRow> rows, bool addSpecialTokens)
    {
        foreach (var row in rows) row.SetType(0);
        return rows;
    }
}
