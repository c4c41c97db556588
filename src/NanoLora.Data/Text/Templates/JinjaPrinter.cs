using System.Globalization;
using System.Text;

namespace NanoLora.Data;

/// <summary>Values as texts: as <c>{{ }}</c> prints them, and as they stand within a list.</summary>
internal static class JinjaPrinter
{
    public static string Text(JinjaRenderer r, TemplateValue value) => value switch
    {
        TextValue text => text.Value,
        UndefinedValue => "",
        _ => Repr(r, value),
    };

    public static string Repr(JinjaRenderer r, TemplateValue value)
    {
        var result = new StringBuilder();
        Write(r, value, result);
        return r.Charge(result.ToString());
    }

    /// <summary>A whole number.</summary>
    public static string Whole(System.Numerics.BigInteger value) => value.ToString(CultureInfo.InvariantCulture);

    private static void Write(JinjaRenderer r, TemplateValue value, StringBuilder result)
    {
        r.Enter();
        r.Fits(result.Length);
        switch (value)
        {
            case NoneValue: result.Append("None"); break;
            case UndefinedValue: result.Append("Undefined"); break;
            case BoolValue b: result.Append(b.Value ? "True" : "False"); break;
            case IntValue i: result.Append(Whole(i.Value)); break;
            case FloatValue f: result.Append(PyNumber.Text(f.Value)); break;
            case TextValue t: result.Append(PyText.Repr(r.Charge(t.Value))); break;
            case SequenceValue { Kind: SequenceKind.Range } range: WriteRange(range, result); break;
            case SequenceValue { Kind: SequenceKind.Generator }: result.Append("<generator object>"); break;
            case SequenceValue sequence: WriteItems(r, sequence, result); break;
            case MapValue map:
                result.Append('{');
                WriteFields(r, map.Items, result);
                result.Append('}');
                break;
            case NamespaceValue space:
                result.Append("<Namespace {");
                WriteFields(r, space.Fields.Select(static f => KeyValuePair.Create((TemplateValue)new TextValue(f.Key), f.Value)), result);
                result.Append("}>");
                break;
            case LoopValue loop: result.Append("<LoopContext ").Append(Text(r, loop.Attribute("index")!)).Append('/').Append(loop.Length).Append('>'); break;
            case FunctionValue f: result.Append(f.Name.StartsWith('<') ? f.Name : $"<function {f.Name}>"); break;
        }
        r.Leave();
    }

    private static void WriteFields(JinjaRenderer r, IEnumerable<KeyValuePair<TemplateValue, TemplateValue>> fields, StringBuilder result)
    {
        var first = true;
        foreach (var (key, value) in fields)
        {
            if (!first) result.Append(", ");
            first = false;
            Write(r, key, result);
            result.Append(": ");
            Write(r, value, result);
        }
    }

    private static void WriteItems(JinjaRenderer r, SequenceValue sequence, StringBuilder result)
    {
        var (open, close) = sequence.Kind switch
        {
            SequenceKind.Tuple => ("(", sequence.Items.Count == 1 ? ",)" : ")"),
            SequenceKind.List => ("[", "]"),
            _ => ($"{sequence.Type}([", "])"),
        };
        result.Append(open);
        for (var i = 0; i < sequence.Items.Count; i++)
        {
            if (i > 0) result.Append(", ");
            Write(r, sequence.Items[i], result);
        }
        result.Append(close);
    }

    // Of a range only the numbers are kept: as it would be written that gives them.
    private static void WriteRange(SequenceValue range, StringBuilder result)
    {
        long At(int i) => (long)((IntValue)range.Items[i]).Value;
        var count = range.Items.Count;
        var step = count > 1 ? At(1) - At(0) : 1;
        result.Append(CultureInfo.InvariantCulture, $"range({(count > 0 ? At(0) : 0)}, {(count > 0 ? At(count - 1) + Math.Sign(step) : 0)}");
        if (step != 1) result.Append(CultureInfo.InvariantCulture, $", {step}");
        result.Append(')');
    }
}
