using System.Globalization;
using System.Text.Json;
using NanoLora.Data;

namespace NanoLora.Experiments.Verification;

/// <summary>
/// Chat templates and what they make of conversations: those of models, by transformers, and small ones for each thing that the language has, by jinja2.
/// The ids of renderings are the tokenizers' matter.
/// </summary>
public sealed class ChatArea : IGoldenArea
{
    private const string Cases = "cases.jsonl";

    /// <inheritdoc/>
    public string Name => "chat";

    /// <inheritdoc/>
    public bool Recognises(GoldenFolder folder)
    {
        ArgumentNullException.ThrowIfNull(folder);
        return File.Exists(Path.Combine(folder.Path, Cases)) && (IsModels(folder) || folder.Has("idioms", JsonValueKind.String));
    }

    /// <inheritdoc/>
    public void Run(GoldenFolder folder, Backend backend, VerifyOptions options, GoldenReport report)
    {
        ArgumentNullException.ThrowIfNull(folder);
        ArgumentNullException.ThrowIfNull(report);
        var lines = File.ReadAllLines(Path.Combine(folder.Path, Cases));
        var count = folder.Field(folder.Root, "cases", JsonValueKind.Number).GetInt32();
        if (lines.Length != count) report.Fail($"{Cases} has {lines.Length} lines where {count} are expected");
        for (var i = 0; i < lines.Length; i++)
        {
            report.Case($"line {i + 1}");
            try
            {
                using var document = JsonDocument.Parse(lines[i]);
                if (IsModels(folder)) OfModel(folder, document.RootElement, report);
                else OfIdiom(folder, document.RootElement, report);
            }
            catch (Exception e) when (e is GoldenException or JsonException or ArgumentException or IOException) { report.Fail(e.Message); }
        }
        report.Case("");
    }

    private static bool IsModels(GoldenFolder folder) => folder.Has("special_tokens", JsonValueKind.Object) && folder.Has("environment", JsonValueKind.String);

    private static void OfModel(GoldenFolder folder, JsonElement @case, GoldenReport report)
    {
        string Text(string name) => folder.Field(@case, name, JsonValueKind.String).GetString()!;
        report.Case($"{Text("template")} {Text("conversation")}");
        var variables = new Dictionary<string, TemplateValue>();
        var tokens = folder.Field(folder.Root, "special_tokens", JsonValueKind.Object);
        foreach (var token in folder.Field(tokens, Text("tokenizer"), JsonValueKind.Object, "special_tokens.").EnumerateObject())
            variables[token.Name] = TemplateValue.From(token.Value);
        if (@case.TryGetProperty("extra", out var extra)) variables["extra"] = TemplateValue.From(extra);
        List<ChatMessage> messages = [.. folder.Field(@case, "messages", JsonValueKind.Array).EnumerateArray().Select(ChatMessage.From)];
        var options = new ChatOptions
        {
            AddGenerationPrompt = IsTrue(@case, "add_generation_prompt"),
            ContinueFinalMessage = IsTrue(@case, "continue_final_message"),
            Tools = @case.TryGetProperty("tools", out var tools) ? TemplateValue.From(tools) : null,
            Variables = variables,
        };
        var path = Path.Combine(folder.Path, Path.GetFileName(Text("template")) + ".jinja");
        Compare(folder, @case, report, () => ChatTemplate.Parse(File.ReadAllText(path), path).Render(messages, options));
    }

    private static void OfIdiom(GoldenFolder folder, JsonElement @case, GoldenReport report)
    {
        report.Case(folder.Field(@case, "name", JsonValueKind.String).GetString()!);
        var source = folder.Field(@case, "template", JsonValueKind.String).GetString()!;
        var now = DateTime.Parse(folder.Field(folder.Root, "now", JsonValueKind.String).GetString()!, CultureInfo.InvariantCulture);
        var variables = new Dictionary<string, TemplateValue>();
        if (@case.TryGetProperty("variables", out var given))
            foreach (var field in given.EnumerateObject()) variables[field.Name] = TemplateValue.From(field.Value);
        Compare(folder, @case, report, () => ChatTemplate.Parse(source).Render([], new ChatOptions { Variables = variables, Clock = () => now }));
    }

    // Either the text, to the letter, or a failure; where the template itself refuses, with its words.
    private static void Compare(GoldenFolder folder, JsonElement @case, GoldenReport report, Func<string> render)
    {
        var fails = @case.TryGetProperty("error", out var error);
        var want = folder.Field(@case, fails ? "error" : "rendered", JsonValueKind.String).GetString()!;
        string got;
        try { got = render(); }
        catch (ChatTemplateException e)
        {
            var found = FormatsReading.OneLine(e.Message);
            if (!fails) report.Fail($"is refused, and must render: {found}");
            else if (e.RaisedByTemplate && e.Problem != want) report.Fail($"is refused with other words than {FormatsReading.OneLine(want)}: {found}");
            else report.Pass($"refused: {found}");
            return;
        }
        if (fails) report.Fail($"renders, and must fail with {FormatsReading.OneLine(want)}");
        else if (got != want) report.Fail(Difference(got, want));
        else report.Pass($"{got.Length} characters");
    }

    private static string Difference(string got, string want)
    {
        var at = got.AsSpan().CommonPrefixLength(want);
        var from = Math.Max(0, at - 20);
        return $"differs at character {at}: got …{FormatsReading.OneLine(got[from..])}, want …{FormatsReading.OneLine(want[from..])}";
    }

    private static bool IsTrue(JsonElement @case, string name) => @case.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.True;
}
