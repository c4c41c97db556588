using System.CommandLine;
using System.Diagnostics;
using NanoLora.Data;
using NanoLora.Models;

namespace NanoLora.Cli.Commands;

/// <summary><c>nanolora generate</c>: continues a text.</summary>
internal static class GenerateCommand
{
    private sealed record Request(string Model, GenerationOptions Options)
    {
        public string? Prompt { get; init; }
        public string? PromptFile { get; init; }
        public string? System { get; init; }
        public bool Echo { get; init; }
        public string[] Adapters { get; init; } = [];
        public float[] Weights { get; init; } = [];
        public string Device { get; init; } = Devices.Cpu;
    }

    public static Command Create(Session session)
    {
        var model = new Argument<string>("MODEL") { Description = TextInput.Help };
        var prompt = Inputs.Text("--prompt", "TEXT", "The text to go on with; from standard input if neither this nor --prompt-file is given.");
        var file = Inputs.Text("--prompt-file", "FILE", "A file with that text; a line break at its end does not count.");
        var system = Inputs.Text("--system", "TEXT", "Ask as in a conversation, by the model's chat template: this is what the model is told first.");
        var echo = Inputs.Switch("--echo", "Write the prompt, too.");
        var (adapters, weights, device) = (TextInput.AdapterOption(), TextInput.WeightsOption(), Devices.Option());
        var sampling = new SamplingOptions();
        var command = new ToolCommand("generate", "Continues a text with a language model.", """
            Writes what comes after the prompt, as soon as it is known, to standard output, and nothing else; speed and seed go to standard error. A T5 answers
            the prompt. The same model, prompt, options and seed give the same text.
            """, "nanolora generate models/stories260K --prompt 'Once upon a time'",
            "nanolora generate models/stories260K --prompt 'Lily saw a' --temperature 0.8 --top-p 0.9 --seed 7 --max-tokens 100",
            "nanolora generate my-llama --adapter pirate --adapter poet --weights 0.3,0.7 --prompt-file start.txt --stop '\\n\\n'")
        { model, prompt, file, system, echo, adapters, weights, device };
        sampling.AddTo(command);
        command.SetAction(parsed => Run(session, new Request(parsed.GetValue(model)!, sampling.Of(parsed))
        {
            Prompt = parsed.GetValue(prompt), PromptFile = parsed.GetValue(file), System = parsed.GetValue(system), Echo = parsed.GetValue(echo),
            Adapters = parsed.GetValue(adapters) ?? [], Weights = parsed.GetValue(weights)!, Device = parsed.GetValue(device)!,
        }));
        return command;
    }

    private static int Run(Session session, Request request)
    {
        if (request is { Prompt: not null, PromptFile: not null }) throw new UsageException("--prompt and --prompt-file: give one of them.");
        using var text = TextInput.Open(ModelFolder.Of(request.Model), request.Adapters, request.Weights, request.Device);
        var prompt = Prompt(session, request);
        if (request.Echo) session.Show(prompt);
        var clock = Stopwatch.StartNew();
        using var generation = Start(text, request, prompt);
        try
        {
            while (generation.Next(session.Cancellation) is { } piece) session.Show(piece);
        }
        catch (OperationCanceledException) when (session.IsInterrupted)
        {
            session.Out.WriteLine();
            return Session.Interrupted;
        }
        session.Out.WriteLine();
        Tell(session, request, generation, clock.Elapsed.TotalSeconds);
        return 0;
    }

    private static TextGeneration Start(TextInput text, Request request, string prompt)
    {
        if (request.System is null) return text.Generator.Start(prompt, request.Options);
        var template = text.Template() ?? throw new CommandException($"{request.Model} has no chat template; leave --system out, and put it into the prompt.");
        var rendered = template.Render([new ChatMessage("system", request.System), new ChatMessage("user", prompt)],
            new ChatOptions { AddGenerationPrompt = true });
        return text.Generator.Start(text.Tokenizer.Encode(rendered, addSpecialTokens: false), text.For(template, request.Options));
    }

    private static string Prompt(Session session, Request request)
    {
        if (request.Prompt is not null) return request.Prompt;
        if (session.IsConversation && request.PromptFile is null) session.Note($"write the prompt, and end it with Ctrl-D");
        var text = request.PromptFile is { } file ? File.ReadAllText(file) : session.In.ReadToEnd();
        return text.EndsWith("\r\n", StringComparison.Ordinal) ? text[..^2] : text.EndsWith('\n') ? text[..^1] : text;
    }

    private static void Tell(Session session, Request request, TextGeneration generation, double seconds)
    {
        var count = generation.Tokens.Count;
        var end = generation.Finish switch
        {
            Finish.EndToken => "the model ended the text",
            Finish.StopString => "a text of --stop came",
            Finish.Context => "the model's context is full",
            _ => "--max-tokens",
        };
        var how = SamplingOptions.How(request.Options);
        session.Note($"{generation.PromptTokens} tokens read, {count} written in {seconds:0.00} s, {count / seconds:0.0} tokens/s; {how}; ended by: {end}");
    }
}
